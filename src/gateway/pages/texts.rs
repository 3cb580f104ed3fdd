//! Every word on our pages, in both languages.
//!
//! Written for a teacher, not for an administrator: what happened, then what to do. The provider is called
//! the sign-in service here, and only here.

use super::Language;

/// One text in every language: a language that lacks it does not compile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    english: &'static str,
    russian: &'static str,
}

impl Text {
    /// The text in this language.
    pub(super) const fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Russian => self.russian,
        }
    }
}

macro_rules! texts {
    ($($name:ident = $english:literal, $russian:literal;)+) => {
        $(pub(super) const $name: Text = Text { english: $english, russian: $russian };)+

        /// All texts by name, for the tests.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, Text)] = &[$((stringify!($name), $name)),+];
    };
}

texts! {
    // What can be done.
    TRY_AGAIN = "Try again", "Попробовать ещё раз";
    GO_TO_APP = "Go to the app", "Перейти в приложение";
    SIGN_IN = "Sign in", "Войти";
    SIGN_IN_AGAIN = "Sign in again", "Войти снова";
    SIGN_OUT = "Sign out", "Выйти";
    STAY = "Stay signed in", "Остаться";
    SEND = "Send", "Отправить";
    DO_NOT_SEND = "Don’t send", "Не отправлять";
    FINISH = "Finish signing out", "Завершить выход";

    // Beside the message.
    SIGNED_IN_AS = "You are signed in as", "Вы вошли как";
    REFERENCE = "Reference for your administrator", "Код для администратора";

    // Several providers.
    HOW_TO_SIGN_IN = "How do you want to sign in?", "Как вы хотите войти?";
    CHOOSE_YOUR_SERVICE =
        "Choose where you have an account.",
        "Выберите, где у вас есть учётная запись.";
    CHOICE_IS_REMEMBERED =
        "Next time this browser takes you straight there, unless you sign out.",
        "В следующий раз этот браузер откроет выбранный вход сразу, если вы не нажмёте «Выйти».";
    UNKNOWN_EMAIL =
        "We don’t know where people with that e-mail address sign in.",
        "Для такого адреса почты способ входа не найден.";
    CHECK_EMAIL_OR_CHOOSE =
        "Check the address for typing errors, or choose where you have an account.",
        "Проверьте, нет ли в адресе опечатки, или выберите, где у вас есть учётная запись.";
    LAST_TIME = "You signed in here last time", "В прошлый раз вы вошли здесь";
    YOUR_EMAIL = "Or by your e-mail address", "Или по адресу электронной почты";
    CONTINUE = "Continue", "Продолжить";

    // A sign-in that failed.
    SIGN_IN_FAILED = "Sign-in did not work", "Войти не получилось";
    NOT_BEGUN_HERE =
        "This sign-in was started in another browser, or it has been used already.",
        "Этот вход начали в другом браузере, или он уже был использован.";
    START_FROM_APP =
        "Start again. It also happens when you go back to the sign-in page or open it from a bookmark.",
        "Начните вход заново. Так бывает и тогда, когда страницу входа открывают из закладок или кнопкой «Назад».";
    TOOK_TOO_LONG =
        "The sign-in took too long, so we stopped it to be safe.",
        "Вход занял слишком много времени, и мы остановили его для вашей безопасности.";
    JUST_TRY_AGAIN = "Please try again.", "Попробуйте войти ещё раз.";
    NO_COOKIES =
        "Your browser did not keep the cookie that signing in needs.",
        "Браузер не сохранил cookie, без которых войти нельзя.";
    ALLOW_COOKIES =
        "Allow cookies for this site, or open it in a window of its own, and try again.",
        "Разрешите cookie для этого сайта или откройте его в отдельном окне и попробуйте ещё раз.";
    OPENED_WITHOUT_TLS =
        "This address was opened without encryption, so your browser did not keep the cookie that signing in needs.",
        "Адрес открыт без шифрования, поэтому браузер не сохранил cookie, без которых войти нельзя.";
    OPEN_WITH_HTTPS =
        "Open the address with https:// at its beginning.",
        "Откройте адрес, который начинается с https://.";
    COOKIE_NOT_KEPT =
        "You signed in three times, but your browser did not keep the cookie that would keep you signed in.",
        "Вы вошли три раза, но браузер не сохраняет cookie, по которому мы вас узнаём.";
    COOKIE_FOR_OTHERS =
        "You signed in, but the cookie that would keep you signed in is meant for other addresses than this one.",
        "Вы вошли, но cookie, по которому мы вас узнаём, предназначен для других адресов, и браузер его не принимает.";
    COOKIE_TOO_LARGE =
        "You signed in, but the cookies that would keep you signed in are too large for your browser.",
        "Вы вошли, но cookie, по которым мы вас узнаём, слишком велики для браузера.";
    COOKIE_TWICE =
        "You signed in, but your browser holds two cookies of one name for this site, and we can’t tell which is right.",
        "Вы вошли, но в браузере два cookie этого сайта с одним именем, и неизвестно, какой из них верный.";
    SESSION_NOT_FOUND =
        "You signed in three times, but each time we could not find your session a moment later.",
        "Вы вошли три раза, но каждый раз мы тут же не находили ваш сеанс.";
    SIGNED_IN_ALREADY = "You are signed in already", "Вы уже вошли";
    APP_ASKS_AGAIN =
        "The app asks you to sign in again and again, so we stopped.",
        "Приложение снова и снова просит войти, поэтому мы остановились.";
    UNEXPECTED_ANSWER =
        "The sign-in service gave an answer that we did not expect, so we did not accept it.",
        "Служба входа ответила не так, как мы ожидали, и мы не приняли её ответ.";
    NOT_CONFIRMED =
        "The sign-in service did not confirm this sign-in. Perhaps it took too long.",
        "Служба входа не подтвердила этот вход. Возможно, прошло слишком много времени.";
    DECLINED =
        "The sign-in was cancelled, or the sign-in service did not let you into this app.",
        "Вход был отменён, или служба входа не разрешила вам войти в это приложение.";
    IF_DECLINED_BY_MISTAKE =
        "If you cancelled by mistake, try again. Otherwise ask your administrator for access.",
        "Если вы отменили вход случайно, попробуйте ещё раз. Если нет, попросите доступ у администратора.";
    NOT_VERIFIED =
        "We could not check the answer of the sign-in service, so you were not signed in.",
        "Не удалось проверить ответ службы входа, поэтому вход не выполнен.";
    NOT_YOUR_FAULT =
        "You did nothing wrong. Please tell your administrator, and give them the reference below.",
        "Вы всё сделали правильно. Сообщите об этом администратору и назовите код ниже.";
    TOO_MUCH_TOLD =
        "The sign-in service told us more about you than we can keep, so you were not signed in.",
        "Служба входа сообщила о вас больше, чем мы можем сохранить, поэтому вход не выполнен.";
    PROVIDER_SILENT =
        "The sign-in service does not answer at the moment.",
        "Служба входа сейчас не отвечает.";

    // Signed in, and not let in.
    NO_ACCESS = "You don’t have access", "Нет доступа";
    NOT_OPEN_TO_YOU =
        "You are signed in, but this page is not open to you.",
        "Вы вошли, но эта страница для вас закрыта.";
    ASK_FOR_ACCESS =
        "If you need it, ask your administrator. If you have another account, sign out and use that one.",
        "Если она вам нужна, обратитесь к администратору. Если у вас есть другая учётная запись, выйдите и войдите с ней.";
    PROFILE_INCOMPLETE =
        "You are signed in, but your profile lacks something that this app needs:",
        "Вы вошли, но в вашем профиле не хватает сведений, которые нужны этому приложению:";
    ASK_TO_COMPLETE =
        "Ask your administrator to add it. Then sign out and sign in again.",
        "Попросите администратора добавить их. Потом выйдите и войдите снова.";

    // On a screen without a keyboard.
    SIGN_IN_BY_PHONE = "Sign in with your phone", "Войдите с телефона";
    SCAN_OR_ENTER =
        "Scan the picture with your phone, or open the address below and enter the code there.",
        "Наведите телефон на картинку или откройте на нём адрес ниже и введите код.";
    STAY_HERE =
        "Do this only if the screen is in front of you: it will be signed in as you. The page goes on by itself.",
        "Делайте это, только если экран перед вами: вход на нём будет выполнен от вашего имени. Страница обновится сама.";
    QR_CODE = "QR code with the address", "QR-код с адресом";
    CODE_TO_ENTER = "Code", "Код";
    ADDRESS_TO_OPEN = "Address", "Адрес";
    CODE_TOO_OLD =
        "The code on the screen is no longer good.",
        "Код на экране больше не действует.";
    GET_ANOTHER_CODE =
        "Try again to get another one.",
        "Попробуйте ещё раз, и появится новый код.";

    // Signed in, and not strongly or lately enough.
    NOT_ENOUGH = "Please confirm who you are", "Подтвердите, что это вы";
    WEAK_SIGN_IN =
        "This page needs a stronger sign-in, such as one with a code from your phone. The sign-in service did not ask for it.",
        "Для этой страницы нужен более надёжный вход, например с кодом из телефона. Служба входа его не запросила.";
    OLD_SIGN_IN =
        "This page needs a sign-in from just now. The sign-in service let you through without asking.",
        "Для этой страницы нужно войти заново. Служба входа пропустила вас, ничего не спросив.";
    CONFIRM_WHEN_ASKED =
        "Try again and confirm when you are asked. If nobody asks you, give your administrator the reference below.",
        "Попробуйте ещё раз и подтвердите вход, когда вас попросят. Если не попросят, назовите администратору код ниже.";

    // In a frame of another site's page.
    OPEN_WINDOW = "Open in a new window", "Открыть в новом окне";
    NEEDS_OWN_WINDOW = "This app needs a window of its own", "Нужно отдельное окно";
    SHOWN_IN_ANOTHER_SITE =
        "It is shown inside a page of another site, where your browser does not let it sign you in.",
        "Приложение открыто внутри страницы другого сайта, а там браузер не даёт ему узнать вас.";
    SIGN_IN_THERE =
        "Open it in a new window and sign in there.",
        "Откройте его в новом окне и войдите там.";

    // Signing out.
    SIGNED_OUT = "You are signed out", "Вы вышли";
    SIGNED_OUT_EVERYWHERE =
        "You have left this app and the sign-in service.",
        "Вы вышли из этого приложения и из службы входа.";
    SIGNED_OUT_HERE =
        "You have left this app. The sign-in service may still know you.",
        "Вы вышли из этого приложения. Служба входа, возможно, ещё помнит вас.";
    SHARED_COMPUTER =
        "If others use this computer too, close all browser windows.",
        "Если этим компьютером пользуются и другие, закройте все окна браузера.";
    CONFIRM_SIGN_OUT = "Sign out?", "Выйти?";
    ANOTHER_SITE_ASKED =
        "Another site asked us to sign you out.",
        "Другой сайт попросил нас завершить ваш сеанс.";
    IF_NOT_EXPECTED =
        "If that was not your wish, just stay signed in.",
        "Если вы этого не хотели, просто останьтесь.";
    ONE_MORE_STEP = "One more step", "Остался один шаг";
    SIGNED_OUT_OF_APP = "You have left this app.", "Вы вышли из этого приложения.";
    PRESS_TO_FINISH =
        "Press the button to leave the sign-in service as well.",
        "Нажмите кнопку, чтобы выйти и из службы входа.";

    // A form that was not kept.
    NOTHING_SENT = "Nothing was sent", "Ничего не отправлено";
    SESSION_HAD_ENDED =
        "Your session had ended, so what you sent did not arrive.",
        "Ваш сеанс закончился, и то, что вы отправляли, не дошло.";
    SIGN_IN_FIRST =
        "What you sent did not arrive: you have to confirm first who you are.",
        "То, что вы отправляли, не дошло: сначала нужно подтвердить, что это вы.";
    SEND_ONCE_MORE =
        "To keep what you wrote, go back in your browser and copy it. Then sign in and send it once more.",
        "Чтобы не потерять написанное, вернитесь в браузере назад и скопируйте его. Потом войдите и отправьте ещё раз.";

    FORM_TOO_LARGE =
        "You have to sign in first, and what you sent is too large to be kept until then.",
        "Сначала нужно войти, а то, что вы отправляли, слишком велико, чтобы сохранить его до входа.";
    FORM_NOT_KEPT =
        "You have to sign in first, and what you sent could not be kept until then.",
        "Сначала нужно войти, а сохранить до входа то, что вы отправляли, не получилось.";
    FORM_GONE =
        "What was kept for you is sent once only: it has been sent already, or it waited too long.",
        "То, что мы для вас сохранили, отправляется один раз: оно уже отправлено или ждало слишком долго.";
    SEE_WHETHER_ARRIVED =
        "Look in the app whether it arrived before you send anything again.",
        "Прежде чем отправлять снова, проверьте в приложении, не дошло ли оно.";
    ANOTHERS_FORM =
        "This was written by somebody else than has signed in now, so it was not sent.",
        "Это писал не тот, кто сейчас вошёл, поэтому оно не отправлено.";
    SIGN_IN_AS_SENDER =
        "If you wrote it, sign in again with the account that you had then. It is kept for half an hour.",
        "Если писали вы, войдите снова с той учётной записью, что была тогда. Написанное хранится полчаса.";
    FORM_IN_FRAME =
        "The app is shown inside a page of another site, where your browser does not let it sign you in. So what you sent did not arrive.",
        "Приложение открыто внутри страницы другого сайта, а там браузер не даёт ему узнать вас. Поэтому то, что вы отправляли, не дошло.";
    SEND_IN_WINDOW =
        "To keep what you wrote, go back in your browser and copy it. Then open the app in a new window, sign in there and send it once more.",
        "Чтобы не потерять написанное, вернитесь в браузере назад и скопируйте его. Потом откройте приложение в новом окне, войдите там и отправьте ещё раз.";

    // A form that is kept.
    FORM_KEPT = "What you wrote is kept", "Написанное сохранено";
    KEPT_TO_SIGN_IN =
        "Your session had ended. Sign in, and nothing is lost.",
        "Ваш сеанс закончился. Войдите, и ничего не пропадёт.";
    KEPT_TO_CONFIRM =
        "Before it is sent, please confirm who you are.",
        "Прежде чем мы это отправим, подтвердите, что это вы.";
    SENT_AFTERWARDS =
        "After that it is sent. The page goes on by itself.",
        "После этого всё будет отправлено. Страница откроется сама.";
    SENDING_FORM = "Sending what you wrote", "Отправляем написанное";
    FORM_IS_ON_ITS_WAY =
        "You are signed in again, and what you wrote goes to the app now.",
        "Вы снова вошли, и то, что вы написали, отправляется в приложение.";
    PRESS_TO_SEND = "If nothing happens, press the button.", "Если ничего не происходит, нажмите кнопку.";
    SEND_FORM = "Send what was written?", "Отправить написанное?";
    FORM_WAITS =
        "You are signed in. What was written in this browser before has been kept and not sent yet.",
        "Вы вошли. То, что было написано в этом браузере раньше, сохранено и ещё не отправлено.";
    ONLY_IF_YOURS =
        "Send it only if you wrote it: it is sent in your name.",
        "Отправляйте, только если это писали вы: оно уйдёт от вашего имени.";

    // Everything else that did not work.
    WAIT_A_MINUTE = "Wait a minute and try again.", "Подождите минуту и попробуйте ещё раз.";
    TELL_ADMINISTRATOR =
        "Try again. If it happens once more, give your administrator the reference below.",
        "Попробуйте ещё раз. Если не поможет, назовите администратору код ниже.";
    CHECK_ADDRESS =
        "Check the address, or start from the app’s first page.",
        "Проверьте адрес или начните с главной страницы приложения.";
    ADDRESS_UNUSABLE = "This address can’t be opened", "Этот адрес нельзя открыть";
    FORBIDDEN_CHARACTERS =
        "The address holds characters that don’t belong there.",
        "В адресе есть знаки, которых там быть не может.";
    TWO_READINGS =
        "The address can be understood in two ways, so we did not open it, to be safe.",
        "Адрес можно понять по-разному, поэтому в целях безопасности мы его не открыли.";
    NOT_UNDERSTOOD = "We did not understand the request", "Запрос не понят";
    UNUSABLE_REQUEST =
        "Your browser sent something that we can’t use.",
        "Браузер прислал то, что мы не можем обработать.";
    WRONG_METHOD =
        "Nothing can be sent to this address in this way.",
        "По этому адресу так ничего отправить нельзя.";
    NOT_FROM_HERE = "The connection was refused", "В соединении отказано";
    FOREIGN_ORIGIN =
        "Another site tried to open a connection to this app.",
        "Другой сайт попытался подключиться к этому приложению.";
    PAGE_NOT_FOUND = "Page not found", "Страница не найдена";
    NOTHING_HERE = "There is nothing at this address.", "По этому адресу ничего нет.";
    NO_APP = "No such app", "Нет такого приложения";
    NO_APP_OF_THIS_NAME = "There is no app of this name here.", "Приложения с таким именем здесь нет.";
    TOO_MUCH_SENT = "Your browser sent too much", "Браузер прислал слишком много";
    HEADERS_TOO_LARGE =
        "That happens when too many cookies have gathered, or when an address is very long.",
        "Так бывает, когда накопилось слишком много cookie или адрес очень длинный.";
    DELETE_COOKIES =
        "Delete this site’s cookies in your browser and try again.",
        "Удалите cookie этого сайта в браузере и попробуйте ещё раз.";
    WENT_WRONG = "Something went wrong", "Что-то пошло не так";
    OUR_FAULT = "The fault is ours, not yours.", "Это наша ошибка, а не ваша.";
    APP_UNAVAILABLE = "The app is not available", "Приложение недоступно";
    APP_UNREACHABLE =
        "The app does not answer at the moment. You did nothing wrong.",
        "Приложение сейчас не отвечает. Вы всё сделали правильно.";
    CANNOT_CHECK_NOW = "Just a moment, please", "Подождите немного";
    STILL_SIGNED_IN =
        "We can’t check right now who you are. You have not been signed out.",
        "Сейчас не получается проверить, кто вы. Входить заново не нужно.";
    BUSY = "Too many people at once", "Слишком много посетителей";
    BUSY_NOW = "We have more to do than we can manage just now.", "Сейчас мы не успеваем ответить всем.";
    APP_TOO_SLOW = "The app takes too long", "Приложение не успело ответить";
    APP_LATE = "The app did not answer in time.", "Приложение слишком долго не отвечало.";
    CHECK_WHETHER_SENT =
        "Wait a minute and try again. If you were sending something, first check whether it arrived.",
        "Подождите минуту и попробуйте ещё раз. Если вы что-то отправляли, сначала проверьте, не дошло ли оно.";

    // For scripts.
    SIGN_IN_NEEDED = "Sign-in needed", "Нужно войти";
    OPEN_TO_SIGN_IN =
        "There is no session, or it has ended. Open the address in sign_in to sign in.",
        "Сеанса нет, или он закончился. Чтобы войти, откройте адрес из sign_in.";
    TOKEN_NEEDED = "No access token that is good for this", "Нет подходящего токена доступа";
    SHOW_A_TOKEN =
        "Send an access token in Authorization: Bearer. WWW-Authenticate says what is missing.",
        "Передайте токен доступа в заголовке Authorization: Bearer. Чего не хватает, сказано в WWW-Authenticate.";
    OPEN_TO_STEP_UP =
        "This needs a stronger or newer sign-in. Open the address in sign_in to confirm who you are.",
        "Для этого нужен более надёжный или новый вход. Чтобы подтвердить вход, откройте адрес из sign_in.";
}
