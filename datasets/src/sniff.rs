//! Tells what a file is from its first bytes, so that a refusal can say what was found.

/// How many bytes from the start [`sniff`] wants to see.
pub(crate) const HEAD: usize = 256;

/// The formats this crate decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Png,
    Jpeg,
    WebP,
}

impl Codec {
    /// The name used in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        }
    }

    /// The format as the `image` crate calls it.
    pub(crate) fn format(self) -> image::ImageFormat {
        match self {
            Self::Png => image::ImageFormat::Png,
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::WebP => image::ImageFormat::WebP,
        }
    }
}

/// What the first bytes of a file look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A format this crate decodes.
    Known(Codec),
    /// An image format it does not decode, by name.
    OtherImage(&'static str),
    /// Something else, described.
    NoImage(&'static str),
}

/// Signatures at offset 0.
const AT_START: [(&[u8], Content); 19] = [
    (b"\x89PNG\r\n\x1a\n", Content::Known(Codec::Png)),
    (b"\xff\xd8\xff", Content::Known(Codec::Jpeg)),
    (b"GIF8", Content::OtherImage("GIF")),
    (b"BM", Content::OtherImage("BMP")),
    (b"II*\0", Content::OtherImage("TIFF")),
    (b"MM\0*", Content::OtherImage("TIFF")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Content::OtherImage("JPEG XL")),
    (b"\xff\x0a", Content::OtherImage("JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Content::OtherImage("JPEG 2000")),
    (b"\xff\x4f\xff\x51", Content::OtherImage("JPEG 2000")),
    (b"\0\0\x01\0", Content::OtherImage("ICO")),
    (b"v/1\x01", Content::OtherImage("OpenEXR")),
    (b"#?RADIANCE", Content::OtherImage("Radiance HDR")),
    (b"qoif", Content::OtherImage("QOI")),
    (b"8BPS", Content::OtherImage("PSD")),
    (b"DDS ", Content::OtherImage("DDS")),
    (b"%PDF", Content::NoImage("a PDF document")),
    (b"PK\x03\x04", Content::NoImage("a ZIP archive")),
    (b"\x1f\x8b", Content::NoImage("a gzip archive")),
];

/// Judges the first bytes of a file; [`HEAD`] of them are enough, fewer are allowed.
pub(crate) fn sniff(head: &[u8]) -> Content {
    if let Some((_, content)) = AT_START.iter().find(|(signature, _)| head.starts_with(signature)) {
        return *content;
    }
    match (head.get(..4), head.get(4..8), head.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => Content::Known(Codec::WebP),
        (_, Some(b"ftyp"), Some(b"avif" | b"avis")) => Content::OtherImage("AVIF"),
        (_, Some(b"ftyp"), Some(b"heic" | b"heix" | b"mif1" | b"msf1")) => Content::OtherImage("HEIC"),
        (_, Some(b"ftyp"), _) => Content::NoImage("a video"),
        _ if is_netpbm(head) => Content::OtherImage("Netpbm"),
        _ => sniff_text(head),
    }
}

/// `P1` to `P7` followed by white space.
fn is_netpbm(head: &[u8]) -> bool {
    matches!(head, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace())
}

/// The last resort: vector images and web pages are text too, but worth a name of their own.
fn sniff_text(head: &[u8]) -> Content {
    let head = head.get(..HEAD).unwrap_or(head);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut in half by the end of `head` is still text.
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or("")
        }
        Err(_) => return Content::NoImage("data of an unknown kind"),
    };
    let binary = |c: char| c.is_control() && !c.is_whitespace();
    if text.is_empty() || text.contains(binary) {
        return Content::NoImage("data of an unknown kind");
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("<svg") {
        Content::OtherImage("SVG")
    } else if lower.trim_start().starts_with("<!doctype html") || lower.contains("<html") {
        Content::NoImage("a web page (HTML)")
    } else if lower.starts_with("version ") && lower.contains("git-lfs") {
        Content::NoImage("a Git LFS pointer instead of the file itself")
    } else {
        Content::NoImage("plain text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_binaries_are_told_apart() {
        assert_eq!(sniff(b"hello"), Content::NoImage("plain text"));
        assert_eq!(sniff("h\u{e9}".as_bytes().get(..2).unwrap()), Content::NoImage("plain text"));
        assert_eq!(sniff(b"\x00\x01\x02"), Content::NoImage("data of an unknown kind"));
        assert_eq!(sniff(b"\xc3\x28 abc"), Content::NoImage("data of an unknown kind"));
        assert_eq!(sniff(b"<?xml version='1.0'?><svg/>"), Content::OtherImage("SVG"));
        assert_eq!(sniff(b"<!DOCTYPE html><p>404"), Content::NoImage("a web page (HTML)"));
        assert_eq!(sniff(b"P6\n2 2 255\n"), Content::OtherImage("Netpbm"));
        let pointer = b"version git-lfs/spec/v1\noid sha256:00\n";
        assert!(matches!(sniff(pointer), Content::NoImage(found) if found.contains("LFS")));
        assert_eq!(sniff(b"P6x"), Content::NoImage("plain text"));
    }

    #[test]
    fn containers_are_told_by_their_brand() {
        assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8 "), Content::Known(Codec::WebP));
        assert_eq!(sniff(b"\0\0\0\x1cftypheic\0\0\0\0"), Content::OtherImage("HEIC"));
        assert_eq!(sniff(b"\0\0\0\x1cftypavif\0\0\0\0"), Content::OtherImage("AVIF"));
        assert_eq!(sniff(b"\0\0\0\x1cftypisom\0\0\0\0"), Content::NoImage("a video"));
    }
}
