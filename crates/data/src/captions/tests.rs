use super::*;

fn read(text: &str) -> Captions {
    Captions::from_bytes(text.as_bytes()).unwrap()
}

fn said(text: &str) -> Vec<(String, f64, f64)> {
    let sentences = read(text).sentences(&SentenceOptions::default()).sentences;
    sentences
        .into_iter()
        .map(|one| (one.text, one.start, one.end))
        .collect()
}

fn owned(sentences: &[(&str, f64, f64)]) -> Vec<(String, f64, f64)> {
    sentences
        .iter()
        .map(|(text, start, end)| ((*text).to_owned(), *start, *end))
        .collect()
}

#[test]
fn sentences_cross_cues_and_share_them_by_words() {
    let srt = "1\n00:00:01,000 --> 00:00:03,000\nHello there. I am\n\n\
               2\n00:00:03,000 --> 00:00:05,000\n<i>very</i> happy!\n\n";
    assert_eq!(
        said(srt),
        owned(&[("Hello there.", 1.0, 2.0), ("I am very happy!", 2.0, 5.0)])
    );
}

#[test]
fn windows_lines_and_missing_blank_lines_are_read() {
    let srt = "\u{feff}1\r\n00:00:01,000 --> 00:00:02,000\r\nOne.\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\nTwo.\r\n";
    assert_eq!(said(srt), owned(&[("One.", 1.0, 2.0), ("Two.", 2.0, 3.0)]));
}

#[test]
fn web_captions_know_notes_settings_voices_and_word_times() {
    let vtt = "WEBVTT\nKind: captions\n\nNOTE nobody says\nthis\n\nintro\n00:01.000 --> 00:04.000 align:start\n\
               <v Anna>So<00:00:02.000><c> what</c><00:00:03.000><c> now?</c>\n";
    let captions = read(vtt);
    let times: Vec<(&str, f64, f64)> = captions
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.end))
        .collect();
    assert_eq!(
        times,
        [("So", 1.0, 2.0), ("what", 2.0, 3.0), ("now?", 3.0, 4.0)]
    );
}

#[test]
fn rolling_captions_are_said_once() {
    let vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n \nhello<00:00:01.000><c> there</c>\n\n\
               00:00:02.000 --> 00:00:02.010\nhello there\n \n\n\
               00:00:02.010 --> 00:00:04.000\nhello there\nmy<00:00:03.000><c> friend</c>\n\n\
               00:00:04.000 --> 00:00:04.010\nmy friend\n \n";
    let words = read(vtt).words;
    let times: Vec<(&str, f64)> = words
        .iter()
        .map(|word| (word.text.as_str(), word.start))
        .collect();
    let expected = [
        ("hello", 0.0),
        ("there", 1.0),
        ("my", 2.01),
        ("friend", 3.0),
    ];
    assert_eq!(times, expected);
}

#[test]
fn a_rolling_line_that_stands_through_a_silence_is_said_once() {
    let vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n \nhello<00:00:01.000><c> there</c>\n\n\
               00:00:02.000 --> 00:00:02.010\nhello there\n \n\n\
               00:00:03.000 --> 00:00:05.000\nhello there\nmy<00:00:04.000><c> friend</c>\n";
    let words = read(vtt).words;
    let said: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(said, ["hello", "there", "my", "friend"]);
    // Whoever says the same again, in a caption of its own, says it again.
    let again = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nhello there\n\n\
                 00:00:03.000 --> 00:00:05.000\nhello there\nmy friend\n";
    assert_eq!(read(again).words.len(), 6);
}

#[test]
fn overlapping_cues_end_where_the_next_begins() {
    let list = r#"[{"text":"one two","start":0,"duration":5},{"text":"three. [Music]","start":2,"duration":2},
                   {"text":"three.","start":3.5,"duration":1}]"#;
    let words = read(list).words;
    let times: Vec<(f64, f64)> = words.iter().map(|word| (word.start, word.end)).collect();
    assert_eq!(times[..2], [(0.0, 1.0), (1.0, 2.0)]);
    let same =
        r#"[{"text":"again","start":0,"duration":2},{"text":"again","start":1,"duration":3}]"#;
    assert_eq!(read(same).words.len(), 1);
    assert_eq!(read(same).words[0].end, 4.0);
}

#[test]
fn youtube_events_give_words_their_own_times() {
    let json = r#"{"wireMagic":"pb3","events":[{"tStartMs":0,"dDurationMs":9000,"id":1},
      {"tStartMs":1000,"dDurationMs":3000,"segs":[{"utf8":"so"},{"utf8":" what","tOffsetMs":500}]},
      {"tStartMs":2900,"dDurationMs":100,"aAppend":1,"segs":[{"utf8":"\n"}]},
      {"tStartMs":3000,"dDurationMs":2000,"segs":[{"utf8":"[Music]"}]}]}"#;
    let captions = read(json);
    let times: Vec<(&str, f64, f64)> = captions
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.end))
        .collect();
    assert_eq!(times, [("so", 1.0, 1.5), ("what", 1.5, 3.0)]);
    assert!(captions.faults.is_empty());
}

#[test]
fn without_punctuation_pauses_decide_and_long_runs_are_cut() {
    let entries: Vec<String> = (0..30)
        .map(|index| {
            let start = f64::from(index) + if index >= 20 { 1.0 } else { 0.0 };
            format!(r#"{{"text":"w{index}","start":{start},"duration":1}}"#)
        })
        .collect();
    let captions = read(&format!("[{}]", entries.join(",")));
    let found = captions.sentences(&SentenceOptions::default());
    assert_eq!(found.grouping, Grouping::Pauses);
    assert!(
        found.sentences.iter().all(|one| one.duration <= 9.0),
        "{found:?}"
    );
    assert!(
        found
            .sentences
            .iter()
            .any(|one| one.text.starts_with("w20")),
        "{found:?}"
    );
    let words: Vec<&str> = found
        .sentences
        .iter()
        .flat_map(|one| one.text.split(' '))
        .collect();
    assert_eq!(words.len(), 30);
}

#[test]
fn without_punctuation_a_model_decides_if_there_is_one() {
    let list = r#"[{"text":"one two three four","start":0,"duration":4},
                   {"text":"five","start":7,"duration":1},{"text":"six","start":8,"duration":1}]"#;
    let captions = read(list);
    assert!(!captions.has_punctuation());
    let marked = [false, true, false, false, false, false];
    let found = captions.sentences_by(&SentenceOptions::default(), &marked);
    let texts: Vec<&str> = found
        .sentences
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    // Behind the mark, and at three seconds of silence.
    assert_eq!(texts, ["one two", "three four", "five six"]);
    assert_eq!(found.grouping, Grouping::Model);
    let punctuated = read(r#"[{"text":"One. Two.","start":0,"duration":4}]"#);
    let found = punctuated.sentences_by(&SentenceOptions::default(), &[false, false]);
    assert_eq!(found.grouping, Grouping::Punctuation);
    assert_eq!(found.sentences.len(), 2);
}

#[test]
fn abbreviations_and_initials_end_nothing_but_a_long_pause_does() {
    let srt = "1\n00:00:00,000 --> 00:00:04,000\nMr. J. Smith lost 3.5 pounds.\n\n\
               2\n00:00:05,000 --> 00:00:06,000\nand then\n\n3\n00:00:09,000 --> 00:00:10,000\nnothing\n";
    let texts: Vec<String> = said(srt).into_iter().map(|one| one.0).collect();
    assert_eq!(
        texts,
        ["Mr. J. Smith lost 3.5 pounds.", "and then", "nothing"]
    );
}

#[test]
fn broken_cues_are_left_out_and_named() {
    let mut srt = Vec::new();
    for (number, line) in [
        (1, "00:00:01,000 --> 00:00:02,000\nOne."),
        (2, "00:00:05,000 --> 00:00:04,000\nbackwards"),
        (3, "00:00:99,000 --> 00:00:04,000\nno time"),
        (4, "00:00:02,000 --> 00:00:03,000\nTwo."),
        (5, "09:00:00,000 --> 09:00:03,000\nfar off"),
        (6, "00:00:03,000 --> 00:00:04,000\nThree."),
        (7, "00:00:04,000 --> 00:00:05,000\nFour."),
        (8, "00:00:05,000 --> 00:00:06,000\nFive."),
    ] {
        srt.extend(format!("{number}\n{line}\n\n").into_bytes());
    }
    srt.extend(b"9\n00:00:06,000 --> 00:00:07,000\nbad \xff\xfe byte\n\n");
    let captions = Captions::from_bytes(&srt).unwrap();
    let faults: Vec<(usize, &str)> = captions
        .faults
        .iter()
        .map(|fault| (fault.cue, fault.reason.as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            (2, "it ends before it starts"),
            (3, "its times can't be read"),
            (5, "it is out of order"),
            (9, "its text is not UTF-8"),
        ]
    );
    assert_eq!(captions.words.len(), 5);
}

#[test]
fn what_is_no_caption_file_is_refused() {
    let fault = |bytes: &[u8]| Captions::from_bytes(bytes).unwrap_err().to_string();
    assert!(fault(b"").contains("empty"));
    assert!(fault(b"just text").contains("not a caption file"));
    assert!(fault(b"WEBVTT\n\n").contains("without a cue"));
    assert!(fault(b"{\"events\": 3}").contains("YouTube"));
    assert!(fault(b"[]").contains("no cue"));
    assert!(fault(b"\x00\x01\x02\x03").contains("not a caption file"));
    let broken = "1\n00:00:05,000 --> 00:00:04,000\na\n\n2\n00:00:07,000 --> 00:00:04,000\nb\n";
    assert!(fault(broken.as_bytes()).contains("2 of 2 cues are broken"));
    let deep = "[".repeat(100_000);
    assert!(fault(deep.as_bytes()).contains("YouTube"));
    assert!(matches!(
        Captions::read(Path::new("no-such-file")).unwrap_err().fault,
        CaptionFault::Read(_)
    ));
}
