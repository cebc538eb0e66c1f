//! Streams of server-sent events, as a whole
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

/// The fields that a line of a stream may begin with.
const FIELDS: [&str; 4] = ["data", "event", "id", "retry"];

/// What a stream told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stream {
    pub(crate) events: Vec<Event>,
    /// Whether it came to its end, `[DONE]`.
    pub(crate) is_done: bool,
}

/// One event.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Whether a body is a stream: its first line that is not empty is a comment or a
/// field. `content_type` decides where the body has only begun.
pub(crate) fn is_stream(text: &str, content_type: &str) -> bool {
    let Some(first) = lines(text).map(str::trim).find(|line| !line.is_empty()) else {
        return false;
    };
    let field = first.split(':').next().unwrap_or_default();
    let is_field = first.contains(':') && (field.is_empty() || FIELDS.contains(&field));
    let declared = content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("text/event-stream");
    is_field || declared && !first.starts_with(['{', '[', '<'])
}

/// Reads a stream. Events end at an empty line or with the stream; those without
/// data are none.
pub(crate) fn read(text: &str) -> Stream {
    let mut stream = Stream::default();
    let mut event = Event::default();
    for line in lines(text).chain([""]) {
        if line.is_empty() {
            let event = std::mem::take(&mut event);
            if !event.data.trim().is_empty() {
                stream.events.push(event);
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if value.trim() == "[DONE]" => {
                stream.is_done = true;
                if !event.data.is_empty() {
                    stream.events.push(event);
                }
                return stream;
            }
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data += value;
            }
            "event" => event.name = value.trim().to_owned(),
            _ => {}
        }
    }
    stream
}

/// Lines that end with CR LF, LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    // Between CR and LF stands an empty line, which would end the event.
    text.trim_start_matches('\u{feff}')
        .split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_however_it_begins() {
        for begin in [
            "data: {}",
            "data:{}",
            ": a comment\n\ndata: {}",
            ":\n",
            "id: 1\ndata: {}",
            "retry: 3000\n\n",
            "event: message\n",
            "\n\n\r\ndata: {}",
            "\u{feff}data: {}",
            "\u{feff}\r\n: hm\r\r",
        ] {
            assert!(is_stream(begin, ""), "{begin:?}");
        }
        for body in [
            "{}",
            "<html>data:",
            "",
            "\n",
            "database: no",
            "[1]",
            "datum",
        ] {
            assert!(!is_stream(body, "application/json"), "{body:?}");
        }
        assert!(is_stream("whatever", "text/event-stream; charset=utf-8"));
        assert!(!is_stream("{\"error\": 1}", "text/event-stream"));
    }

    #[test]
    fn lines_end_in_three_ways_and_events_with_an_empty_line() {
        let plain = "\u{feff}: hm\nevent: a\ndata: 1\ndata:2\nid: 7\n\nretry: 3\n\ndata: 3\n\ndata: [DONE]\n\ndata: 4\n\n";
        for end in ["\n", "\r\n", "\r"] {
            let stream = read(&plain.replace('\n', end));
            let data: Vec<(&str, &str)> = stream
                .events
                .iter()
                .map(|event| (event.name.as_str(), event.data.as_str()))
                .collect();
            assert_eq!(data, [("a", "1\n2"), ("", "3")], "{end:?}");
            assert!(stream.is_done);
        }
        let cut = read("data: 1\n\ndata: 2");
        assert_eq!((cut.events.len(), cut.is_done), (2, false));
    }
}
