//! Text stands out from its ground, as the Web Content Accessibility Guidelines ask.
//!
//! The colours are read out of the very style that pages inline; nothing else is known of how they look.

use super::STYLE;

/// The value of a custom property in a part of the style, as relative luminance (WCAG 2.2, section 1.4.3).
fn luminance(style: &str, property: &str) -> f64 {
    let hex = style.split(&format!("--{property}: #")).nth(1).unwrap();
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

#[test]
fn text_stands_out_by_light_and_in_the_dark() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for (scheme, style) in [("light", light), ("dark", dark)] {
        for (text, ground) in [
            ("text", "card"),
            ("text", "ground"),
            ("text", "field"),
            ("soft", "card"),
            ("link", "card"),
            ("on-accent", "accent"),
            ("done", "done-tint"),
            ("closed", "closed-tint"),
            ("trouble", "trouble-tint"),
            ("question", "question-tint"),
        ] {
            let (a, b) = (luminance(style, text), luminance(style, ground));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 4.5, "{scheme}: {text} on {ground} has {contrast:.2}");
        }
    }
}
