//! The forms on a page, read well enough for pages that are written by hand.

/// A form with its fields as they would be sent.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its `id`; empty without one.
    pub id: String,
    /// `get` or `post`.
    pub method: String,
    /// Where it goes, as written.
    pub action: String,
    /// Names and values of its inputs.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// With this value in a field that it has, or one more field (a button's).
    #[must_use]
    pub fn fill(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.into(), value.into()));
        self
    }
}

/// Every form of a page, in order. A button with a name is sent only when a test fills it in.
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    for (at, _) in page.match_indices("<form") {
        let rest = &page[at..];
        let body = &rest[..rest.find("</form").unwrap_or(rest.len())];
        let head = &body[..=body.find('>').unwrap()];
        let fields = body.match_indices("<input").filter_map(|(at, _)| {
            let tag = &body[at..at + body[at..].find('>').unwrap()];
            Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
        });
        forms.push(Form {
            id: attribute(head, "id").unwrap_or_default(),
            method: attribute(head, "method").unwrap_or_else(|| "get".into()).to_ascii_lowercase(),
            action: attribute(head, "action").unwrap_or_default(),
            fields: fields.collect(),
        });
    }
    forms
}

/// Every link of a page: its address, unescaped.
pub fn links(page: &str) -> Vec<String> {
    let tags = page.match_indices("<a ").map(|(at, _)| &page[at..at + page[at..].find('>').unwrap()]);
    tags.filter_map(|tag| attribute(tag, "href")).collect()
}

/// An attribute of a tag, unescaped.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split([' ', '>', '/']).next()?,
    };
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';').unwrap_or((after, ""));
        match entity {
            "amp" => plain.push('&'),
            "lt" => plain.push('<'),
            "gt" => plain.push('>'),
            "quot" => plain.push('"'),
            other => {
                let digits = other.trim_start_matches('#');
                let code = match digits.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                plain.push(code.ok().and_then(char::from_u32).unwrap_or_else(|| panic!("&{other};")));
            }
        }
        rest = after;
    }
    plain + rest
}
