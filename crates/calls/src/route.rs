//! The endpoint of a URL: its path with everything that varies folded into placeholders.

/// Writes the template of `url` to `out`: the path below `base`, without query, `{id}` and the like for what varies.
pub(crate) fn fold(url: &[u8], base: &[u8], out: &mut Vec<u8>) {
    let path = below(url, base);
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    let begin = out.len();
    for segment in path[..end].split(|byte| *byte == b'/') {
        if segment.is_empty() {
            continue;
        }
        out.push(b'/');
        fold_segment(segment, out);
    }
    if out.len() == begin {
        out.push(b'/');
    }
}

/// `url` without `base`, or else without scheme and host.
fn below<'a>(url: &'a [u8], base: &[u8]) -> &'a [u8] {
    if !url.first().is_some_and(u8::is_ascii_alphabetic) {
        return url;
    }
    if let Some(rest) = url.strip_prefix(base)
        && !base.is_empty()
    {
        return rest;
    }
    let Some(scheme) = memchr::memmem::find(&url[..url.len().min(12)], b"://") else {
        return url;
    };
    let rest = &url[scheme + 3..];
    &rest[memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len())..]
}

/// What a segment is made of.
#[derive(Default)]
struct Makeup {
    digits: usize,
    hex_letters: usize,
    letters: usize,
    dashes: usize,
    commas: usize,
    dots: usize,
    others: usize,
}

impl Makeup {
    fn of(segment: &[u8]) -> Makeup {
        let mut makeup = Makeup::default();
        for byte in segment {
            match byte {
                b'0'..=b'9' => makeup.digits += 1,
                b'a'..=b'f' | b'A'..=b'F' => makeup.hex_letters += 1,
                b'g'..=b'z' | b'G'..=b'Z' => makeup.letters += 1,
                b'-' => makeup.dashes += 1,
                b',' => makeup.commas += 1,
                b'.' => makeup.dots += 1,
                _ => makeup.others += 1,
            }
        }
        makeup
    }
}

fn fold_segment(segment: &[u8], out: &mut Vec<u8>) {
    if segment.iter().all(u8::is_ascii_lowercase) {
        return out.extend_from_slice(segment);
    }
    let makeup = Makeup::of(segment);
    if makeup.others > 0
        && segment.ends_with(b")")
        && let Some(open) = memchr::memchr(b'(', segment)
    {
        // OData: Products(17), Products(guid'…').
        out.extend_from_slice(&segment[..open]);
        return out.extend_from_slice(b"({id})");
    }
    match placeholder(segment, &makeup) {
        Some(name) => out.extend_from_slice(name),
        None => out.extend_from_slice(segment),
    }
}

fn placeholder(segment: &[u8], makeup: &Makeup) -> Option<&'static [u8]> {
    let len = segment.len();
    let is_digits = makeup.digits + makeup.commas + makeup.dashes == len && makeup.digits > 0;
    if is_date(segment) {
        return Some(b"{date}");
    }
    if is_digits && (makeup.dashes == 0 || (makeup.dashes == 1 && segment[0] == b'-')) {
        return Some(b"{id}");
    }
    if is_uuid(segment, makeup) {
        return Some(b"{uuid}");
    }
    if len >= 8 && makeup.digits > 0 && makeup.digits + makeup.hex_letters == len {
        return Some(b"{hex}");
    }
    if segment.contains(&b'@') || memchr::memmem::find(segment, b"%40").is_some() {
        return Some(b"{email}");
    }
    if segment.contains(&b'%') || !segment.is_ascii() {
        return Some(b"{text}");
    }
    if len >= 20 && makeup.digits >= 2 && makeup.letters + makeup.hex_letters > 0 {
        return Some(b"{token}");
    }
    // SO-00123, 85123A; but not v4_6_release, oauth2 and 3.0.
    (makeup.digits >= 3 && makeup.dots == 0 && makeup.digits * 3 >= len).then_some(b"{code}")
}

/// `2026-03-02`, with or without a time.
fn is_date(segment: &[u8]) -> bool {
    let Some((day, time)) = segment.split_at_checked(10) else {
        return false;
    };
    day.iter().enumerate().all(|(n, byte)| match n {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    }) && (time.is_empty() || matches!(time[0], b'T' | b't' | b' ' | b'%' | b'+'))
}

/// 8-4-4-4-12 hexadecimal digits, with or without braces or dashes.
fn is_uuid(segment: &[u8], makeup: &Makeup) -> bool {
    let bare = segment
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
        .unwrap_or(segment);
    match bare.len() {
        32 => bare.iter().all(u8::is_ascii_hexdigit),
        36 if makeup.dashes == 4 => bare.iter().enumerate().all(|(n, byte)| match n {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    fn fold(url: &str, base: &str) -> String {
        let mut out = Vec::new();
        super::fold(url.as_bytes(), base.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_varies_is_folded_and_what_names_a_route_stays() {
        for (url, template) in [
            (
                "/sales/opportunities/123/notes/456?page=2",
                "/sales/opportunities/{id}/notes/{id}",
            ),
            ("company/companies/", "/company/companies"),
            ("", "/"),
            ("/?a=/1/2", "/"),
            ("/sale/0f6a2b1c-33aa-4b5c-9d8e-001122334455", "/sale/{uuid}"),
            (
                "/sale/{0F6A2B1C-33AA-4B5C-9D8E-001122334455}",
                "/sale/{uuid}",
            ),
            ("/x/0f6a2b1c33aa4b5c9d8e001122334455", "/x/{uuid}"),
            ("/blob/9f8e7d6c5b", "/blob/{hex}"),
            ("/facade/deadbeef", "/facade/deadbeef"),
            ("/day/2026-03-02/2026-03-02T10:00:00Z", "/day/{date}/{date}"),
            ("/many/1,2,3/-7", "/many/{id}/{id}"),
            (
                "/Products(17)/Parts(guid'0f6a')",
                "/Products({id})/Parts({id})",
            ),
            ("/order/SO-00123/85123A", "/order/{code}/{code}"),
            ("/user/a.b@c.de/x%40y", "/user/{email}/{email}"),
            ("/name/M%C3%BCller", "/name/{text}"),
            ("/t/Zm9vYmFyMTIzNDU2Nzg5MA==", "/t/{token}"),
            (
                "/v4_6_release/apis/3.0/oauth2/v2/saleList",
                "/v4_6_release/apis/3.0/oauth2/v2/saleList",
            ),
            ("//a///b//", "/a/b"),
        ] {
            assert_eq!(fold(url, ""), template, "{url}");
        }
    }

    #[test]
    fn an_absolute_url_is_the_same_endpoint_as_a_relative_one() {
        let base = "https://na.example/v4_6_release/apis/3.0";
        assert_eq!(
            fold(&format!("{base}/company/companies/7"), base),
            "/company/companies/{id}"
        );
        assert_eq!(fold("https://other.example/a/7?x", base), "/a/{id}");
        assert_eq!(fold("https://other.example?x", base), "/");
    }
}
