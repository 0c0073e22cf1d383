// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads the answer to a `PROPFIND`: whatever prefix a server gives to the namespace, only local names are looked at.

use quick_xml::{Reader, events::Event};

use crate::schemes::time;

/// One resource of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// As the server wrote it: a path or a URL, encoded. Later the path below the root, decoded, without a slash at its end.
    pub(super) path: String,
    pub(super) is_folder: bool,
    pub(super) size_bytes: Option<u64>,
    /// Seconds since 1970.
    pub(super) modified: Option<i64>,
    /// The status of the resource as a whole, where the server gives one; it is most often a failure.
    pub(super) status: Option<u16>,
}

/// The resources of an answer, or what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut reader = Reader::from_str(text);
    let mut entries = Vec::new();
    let mut current: Option<Entry> = None;
    let mut content = String::new();
    let mut is_multistatus = false;
    // Elements that are open: an answer that breaks off is no short listing.
    let mut depth = 0_u32;
    let mut is_in_properties = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => {
                content.clear();
                depth = depth.saturating_add(1);
                match tag.local_name().as_ref() {
                    "multistatus" => is_multistatus = true,
                    "response" => current = Some(Entry::default()),
                    "propstat" => is_in_properties = true,
                    "collection" => mark_folder(&mut current),
                    _ => {}
                }
            }
            Event::Empty(tag) => {
                if tag.local_name().as_ref() == "collection" {
                    mark_folder(&mut current);
                }
                is_multistatus |= tag.local_name().as_ref() == "multistatus";
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(text) => content.push_str(&text),
            Event::GeneralRef(reference) => push_reference(&reference, &mut content)?,
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                match (tag.local_name().as_ref(), &mut current) {
                    ("href", Some(entry)) if entry.path.is_empty() => {
                        content.trim().clone_into(&mut entry.path)
                    }
                    ("getcontentlength", Some(entry)) => {
                        entry.size_bytes = content.trim().parse().ok().or(entry.size_bytes);
                    }
                    ("getlastmodified", Some(entry)) => {
                        entry.modified = time::of_http(&content).or(entry.modified);
                    }
                    ("propstat", _) => is_in_properties = false,
                    ("status", Some(entry)) if !is_in_properties => {
                        // A status that cannot be read is none of success.
                        entry.status = Some(status_code(&content).unwrap_or_default());
                    }
                    ("response", Some(_)) => entries.extend(current.take()),
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match (is_multistatus, depth) {
        (true, 0) => Ok(entries),
        (true, _) => Err("the answer of the server breaks off".to_owned()),
        (false, _) => Err("the answer is not the one of a WebDAV server".to_owned()),
    }
}

/// `HTTP/1.1 403 Forbidden`
fn status_code(line: &str) -> Option<u16> {
    line.split_whitespace().nth(1)?.parse().ok()
}

fn mark_folder(current: &mut Option<Entry>) {
    if let Some(entry) = current {
        entry.is_folder = true;
    }
}

/// `&amp;` and its like in names.
fn push_reference(reference: &quick_xml::events::BytesRef<'_>, content: &mut String) -> Result<(), String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        content.push(character);
        return Ok(());
    }
    content.push_str(
        quick_xml::escape::resolve_predefined_entity(&reference.xml10_content()).unwrap_or_default(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_prefix_and_any_spelling_of_a_folder_is_read() {
        let text = r#"<?xml version="1.0"?>
            <d:multistatus xmlns:d="DAV:" xmlns:lp1="DAV:"><d:response><d:href>/a&amp;b/</d:href><d:propstat><d:prop>
            <lp1:resourcetype><d:collection/></lp1:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
            <d:response><d:href>http://h/a%20b/x</d:href><d:propstat><d:prop><lp1:resourcetype/>
            <lp1:getcontentlength>42</lp1:getcontentlength></d:prop></d:propstat><d:propstat><d:prop><d:getcontentlength/></d:prop>
            <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response></d:multistatus>"#;
        let entries = parse(text).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(entries[0].is_folder && entries[0].path == "/a&b/");
        assert_eq!(
            (
                entries[1].path.as_str(),
                entries[1].size_bytes,
                entries[1].is_folder
            ),
            ("http://h/a%20b/x", Some(42), false)
        );
        assert_eq!(parse("<multistatus xmlns='DAV:'/>").unwrap(), []);
    }

    #[test]
    fn a_failure_of_one_resource_is_seen_and_one_of_a_property_is_not() {
        let text = r#"<d:multistatus xmlns:d="DAV:"><d:response><d:href>/a</d:href><d:status>HTTP/1.1 403 Forbidden</d:status>
            </d:response><d:response><d:href>/b</d:href><d:propstat><d:prop><d:getcontentlength>1</d:getcontentlength>
            <d:getlastmodified>Thu, 01 Jan 1970 00:00:05 GMT</d:getlastmodified></d:prop>
            <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"#;
        let entries = parse(text).unwrap();
        assert_eq!(entries[0].status, Some(403));
        assert_eq!((entries[1].status, entries[1].modified), (None, Some(5)));
        let cut = text.split_once("<d:response><d:href>/b").unwrap().0;
        assert!(parse(cut).unwrap_err().contains("breaks off"));
    }

    #[test]
    fn what_is_no_multistatus_is_refused_and_never_panics() {
        for text in [
            "",
            "<html><body>Log in</body></html>",
            "<multistatus><response",
            "&#x;",
            "<a>&unknown;</a>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
