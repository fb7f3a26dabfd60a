//! Connections with a made-up clock.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    answer: Pace {
        grace: Duration::from_secs(10),
        bytes_a_second: 1000,
    },
};

#[test]
fn each_phase_has_its_own_patience() {
    let activity = Activity::new(Arc::default());
    let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
    assert_eq!((overdue(70), overdue(80)), (None, Some(Overdue::Idle)));
    activity.heard(1);
    assert_eq!((overdue(9), overdue(11)), (None, Some(Overdue::Head)));
    let request = activity.begin();
    assert_eq!(overdue(3600), None, "the server is at work");
    activity.heard(1);
    assert_eq!(overdue(3600), None, "a body is not a head");
    drop(request);
    assert_eq!(overdue(80), Some(Overdue::Idle));
}

#[test]
fn of_a_shared_connection_each_answer_has_to_move() {
    let activity = Activity::new(Arc::default());
    activity.share();
    activity.heard(1);
    let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
    assert_eq!((overdue(70), overdue(80)), (None, Some(Overdue::Idle)), "no head");
    let (moving, still) = (activity.begin(), activity.begin());
    moving.given();
    moving.taken();
    assert_eq!(overdue(3600), None, "the server is at work");
    still.given();
    assert_eq!((overdue(9), overdue(11)), (None, Some(Overdue::Answer)));
    drop(still);
    assert_eq!(overdue(3600), None);
}

#[test]
fn who_waits_for_a_message_is_idle() {
    let activity = Activity::new(Arc::default());
    let _stream = activity.begin();
    assert!(activity.is_busy());
    let resting = activity.rest();
    assert_eq!(activity.resting(), 1);
    assert!(!activity.is_busy() && activity.without_request_since().is_some());
    let request = activity.begin();
    assert_eq!((activity.is_busy(), activity.resting()), (true, 0));
    drop(request);
    drop(resting);
    assert!(activity.is_busy() && activity.without_request_since().is_none());
}

#[test]
fn who_sends_or_reads_nothing_keeps_its_requests_waiting() {
    let activity = Activity::new(Arc::default());
    let waits = |seconds| {
        let waited = activity.kept_waiting(Instant::now() + seconds * SECOND);
        waited.map(|waited| waited.as_secs())
    };
    assert_eq!(waits(5), None, "nothing is under way");
    let _request = activity.begin();
    assert_eq!(waits(5), None, "the server is at work");
    let receiving = activity.receive();
    activity.heard(1);
    assert_eq!(waits(5), Some(5));
    activity.heard(256 << 10);
    assert_eq!(waits(5), Some(1), "it sends something");
    drop(receiving);
    assert_eq!(waits(5), None);
    activity.blocked();
    assert_eq!(waits(5), Some(5));
    activity.wrote(1);
    assert_eq!(waits(5), None);
}

#[test]
fn an_answer_is_taken_at_some_pace() {
    let activity = Activity::new(Arc::default());
    let _request = activity.begin();
    let overdue = |seconds| activity.overdue(&PATIENCE, Instant::now() + seconds * SECOND);
    activity.wrote(20_000);
    assert_eq!(overdue(100), None, "the client does not make anybody wait");
    activity.blocked();
    assert_eq!((overdue(29), overdue(31)), (None, Some(Overdue::Answer)));
    activity.wrote(1);
    assert_eq!(overdue(100), None, "it reads on");
}
