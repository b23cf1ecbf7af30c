use std::time::Duration;

use futures::StreamExt;

use super::*;

fn key(endpoint: &str, session: char) -> SessionKey {
    SessionKey {
        runtime: "hello-AbCdEf0123".parse().unwrap(),
        endpoint: endpoint.parse().unwrap(),
        session: session.to_string().repeat(33).parse().unwrap(),
    }
}

fn line(seconds: i64, text: &str) -> LogLine {
    LogLine {
        time: Timestamp::from_second(seconds).unwrap(),
        output: Output::Stdout,
        line: text.to_owned(),
        partial: false,
    }
}

fn query(limit: usize) -> LogQuery {
    LogQuery {
        runtime: key("DEFAULT", 'a').runtime,
        endpoint: None,
        session: None,
        since: None,
        limit,
    }
}

fn files(folder: &Path) -> LogFiles {
    // Long enough for the fixed dates of these tests.
    let config = LogFilesConfig {
        folder: folder.to_owned(),
        retention_days: u16::MAX,
        max_file_bytes: 1024 * 1024,
    };
    LogFiles::open(config).unwrap()
}

fn texts(entries: &[LogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.line.line.as_str()).collect()
}

const DAY: i64 = 24 * 60 * 60;
const START: i64 = 1_795_000_000;

#[tokio::test]
async fn lines_come_back_by_endpoint_session_time_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let logs = files(folder.path());
    logs.write(
        &key("DEFAULT", 'a'),
        vec![line(START, "a1"), line(START + DAY, "a2")],
    )
    .await;
    logs.write(&key("DEFAULT", 'b'), vec![line(START + 1, "b1")])
        .await;
    logs.write(&key("prod", 'a'), vec![line(START + 2, "p1")]).await;
    assert_eq!(
        texts(&logs.read(query(10)).await.unwrap()),
        ["a1", "b1", "p1", "a2"]
    );
    assert_eq!(texts(&logs.read(query(2)).await.unwrap()), ["p1", "a2"]);
    let of_session = LogQuery {
        session: Some(key("DEFAULT", 'a').session),
        ..query(10)
    };
    assert_eq!(texts(&logs.read(of_session).await.unwrap()), ["a1", "p1", "a2"]);
    let of_endpoint = LogQuery {
        endpoint: Some("prod".parse().unwrap()),
        ..query(10)
    };
    assert_eq!(logs.read(of_endpoint).await.unwrap()[0].session, key("prod", 'a'));
    let recent = LogQuery {
        since: Some(Timestamp::from_second(START + 2).unwrap()),
        ..query(10)
    };
    assert_eq!(texts(&logs.read(recent).await.unwrap()), ["p1", "a2"]);
    let elsewhere = LogQuery {
        runtime: "other-AbCdEf0123".parse().unwrap(),
        ..query(10)
    };
    assert!(logs.read(elsewhere).await.unwrap().is_empty());
}

#[tokio::test]
async fn lines_of_one_moment_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let logs = files(folder.path());
    let lines = (0..100).map(|number| line(START, &number.to_string())).collect();
    logs.write(&key("DEFAULT", 'a'), lines).await;
    let read = logs.read(query(3)).await.unwrap();
    assert_eq!(texts(&read), ["97", "98", "99"]);
}

#[tokio::test]
async fn a_file_stops_at_its_limit_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogFilesConfig {
        folder: folder.path().to_owned(),
        retention_days: u16::MAX,
        max_file_bytes: 1000,
    };
    let logs = LogFiles::open(config).unwrap();
    for _ in 0..100 {
        logs.write(&key("DEFAULT", 'a'), vec![line(START, &"x".repeat(100))])
            .await;
    }
    let read = logs.read(query(1000)).await.unwrap();
    assert_eq!(
        texts(&read).iter().filter(|text| text.contains("full")).count(),
        1
    );
    assert!(read.len() < 10, "{} lines", read.len());
}

#[tokio::test]
async fn a_torn_line_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let logs = files(folder.path());
    logs.write(&key("DEFAULT", 'a'), vec![line(START, "whole")]).await;
    let day = day_of(Timestamp::from_second(START).unwrap()).to_string();
    let path = folder.path().join("hello-AbCdEf0123-DEFAULT").join(day);
    let path = path.join(format!("{}.jsonl", key("DEFAULT", 'a').session.digest()));
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"{\"session\":\"aaa").unwrap();
    assert_eq!(texts(&logs.read(query(10)).await.unwrap()), ["whole"]);
}

#[tokio::test]
async fn days_past_the_retention_go() {
    let folder = tempfile::tempdir().unwrap();
    let logs = files(folder.path());
    logs.write(
        &key("DEFAULT", 'a'),
        vec![line(START, "old"), line(START + 5 * DAY, "new")],
    )
    .await;
    let config = LogFilesConfig {
        folder: folder.path().to_owned(),
        retention_days: 3,
        max_file_bytes: 1024,
    };
    let logs = LogFiles::open(config).unwrap();
    logs.inner
        .remove_days_before(day_of(Timestamp::from_second(START + 6 * DAY).unwrap()))
        .unwrap();
    assert_eq!(texts(&logs.read(query(10)).await.unwrap()), ["new"]);
}

#[tokio::test]
async fn a_follower_sees_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let logs = files(folder.path());
    let now = Timestamp::now().as_second();
    logs.write(
        &key("DEFAULT", 'a'),
        vec![line(now, "before 1"), line(now, "before 2")],
    )
    .await;
    let mut following = Box::pin(logs.follow(query(1)));
    let mut seen = vec![following.next().await.unwrap().unwrap()];
    logs.write(&key("DEFAULT", 'a'), vec![line(now, "after")]).await;
    logs.write(&key("prod", 'b'), vec![line(now + 1, "another session")])
        .await;
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(10), following.next()).await;
        seen.push(next.expect("a line within 10 s").unwrap().unwrap());
    }
    assert_eq!(texts(&seen), ["before 2", "after", "another session"]);
}
