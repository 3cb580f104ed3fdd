//! A QR code as an SVG that stands in a page: no script, nothing that is loaded.

use qrcode::render::svg::Color;
use qrcode::{EcLevel, QrCode};

/// The picture of an address; `None` when it is too long for one that a phone can read from a screen.
pub(super) fn svg(address: &str) -> Option<String> {
    const LONGEST: usize = 400;
    if address.len() > LONGEST {
        return None;
    }
    let code = QrCode::with_error_correction_level(address, EcLevel::M).ok()?;
    let drawn = code.render::<Color<'_>>().min_dimensions(240, 240).build();
    // The declaration before it is for files, not for a page; what it is, the element around it says.
    let (_, drawn) = drawn.split_once("<svg")?;
    Some(format!("<svg aria-hidden=\"true\"{drawn}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_holds_nothing_of_the_text_and_no_style() {
        let svg = svg("https://id.example.org/device?user_code=\"><script>").unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(!svg.contains("script") && !svg.contains("style") && !svg.contains("example"));
        assert!(super::svg(&"x".repeat(401)).is_none());
    }
}
