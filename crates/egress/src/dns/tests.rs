//! Against a name server of the test's own.

use std::collections::HashMap;
use std::str::FromStr as _;

use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, Record};
use tokio::net::UdpSocket;

use super::*;
use crate::notices::notices;

/// A name server that knows these names.
async fn server(known: &[(&str, &[&str])]) -> NameServers {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let known: HashMap<String, Vec<Ipv4Addr>> = known
        .iter()
        .map(|(name, addresses)| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            ((*name).to_owned(), addresses.collect())
        })
        .collect();
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
            answer.add_queries(asked.queries.iter().cloned());
            let name = asked.queries[0].name().clone();
            let alias = Name::from_str("alias.").unwrap();
            answer.add_answer(Record::from_rdata(name, 5, RData::CNAME(CNAME(alias.clone()))));
            for address in known.get(&plain(&asked.queries[0])).into_iter().flatten() {
                answer.add_answer(Record::from_rdata(alias.clone(), 5, RData::A(A(*address))));
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    vec![address].into()
}

async fn names(lists: &[&str], known: &[(&str, &[&str])]) -> (Names, tokio::sync::mpsc::Receiver<String>) {
    let (notices, taken) = notices();
    let rules = Rules {
        allowances: lists.iter().map(|list| Arc::new(list.parse().unwrap())).collect(),
        ..Rules::default()
    };
    let names = Names {
        rules: Arc::new(rules),
        servers: server(known).await,
        pins: Mutex::default(),
        notices,
    };
    (names, taken)
}

async fn ask(names: &Names, name: &str, kind: RecordType) -> (ResponseCode, Vec<Ipv4Addr>) {
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    let answer = names.answer_datagram(&question.to_vec().unwrap()).await.unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, 7);
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    });
    (answer.metadata.response_code, addresses.collect())
}

#[tokio::test]
async fn an_answer_is_what_may_be_reached_under_that_name() {
    let (names, _) = names(&["Good.example:443"], &[("good.example", &["203.0.113.5"])]).await;
    let to = "203.0.113.5:443".parse().unwrap();
    assert!(
        names.rules.judge(to, &names.pins.lock().unwrap()).is_err(),
        "reached before it was resolved"
    );
    let answer = ask(&names, "gOOd.example.", RecordType::A).await;
    assert_eq!(
        answer,
        (ResponseCode::NoError, vec![Ipv4Addr::new(203, 0, 113, 5)])
    );
    assert_eq!(names.rules.judge(to, &names.pins.lock().unwrap()), Ok(()));
    assert!(
        names
            .rules
            .judge("203.0.113.5:22".parse().unwrap(), &names.pins.lock().unwrap())
            .is_err()
    );
}

#[tokio::test]
async fn a_name_that_no_list_has_is_not_even_asked_for() {
    let (names, mut notices) = names(&[".good.example"], &[("bad.example", &["203.0.113.6"])]).await;
    for kind in [RecordType::A, RecordType::TXT, RecordType::AAAA] {
        assert_eq!(ask(&names, "bad.example.", kind).await.0, ResponseCode::Refused);
    }
    assert!(notices.recv().await.unwrap().contains("bad.example"));
}

#[tokio::test]
async fn a_name_does_not_lead_into_closed_ranges() {
    let known: &[(&str, &[&str])] = &[(
        "rebound.example",
        &["127.0.0.1", "169.254.169.254", "10.0.0.1", "203.0.113.5"],
    )];
    let (names, mut notices) = names(&[], known).await;
    let (_, addresses) = ask(&names, "rebound.example.", RecordType::A).await;
    assert_eq!(addresses, [Ipv4Addr::new(203, 0, 113, 5)]);
    assert!(notices.recv().await.unwrap().contains("127.0.0.1"));
}

#[tokio::test]
async fn there_is_no_ipv6() {
    let (names, _) = names(&[], &[]).await;
    assert_eq!(
        ask(&names, "any.example.", RecordType::AAAA).await,
        (ResponseCode::NoError, vec![])
    );
}

#[tokio::test]
async fn what_is_no_question_has_no_answer() {
    let (names, _) = names(&[], &[]).await;
    assert!(names.answer_datagram(b"garbage").await.is_none());
    let response = Message::new(1, MessageType::Response, OpCode::Query);
    assert!(names.answer_datagram(&response.to_vec().unwrap()).await.is_none());
}

#[tokio::test]
async fn questions_come_over_connections_too() {
    let (names, _) = names(&[], &[("good.example", &["203.0.113.5"])]).await;
    let (mut guest, served) = tokio::io::duplex(4096);
    tokio::spawn(async move { names.serve(served).await });
    let mut question = Message::new(9, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(
        Name::from_str("good.example.").unwrap(),
        RecordType::A,
    ));
    let question = question.to_vec().unwrap();
    guest
        .write_u16(u16::try_from(question.len()).unwrap())
        .await
        .unwrap();
    guest.write_all(&question).await.unwrap();
    let mut answer = vec![0; usize::from(guest.read_u16().await.unwrap())];
    guest.read_exact(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 2);
}
