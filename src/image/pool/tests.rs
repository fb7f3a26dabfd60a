//! Who goes first, and what is left to whom.

use std::sync::mpsc;

use super::*;

fn job(sent: &mpsc::Sender<&'static str>, name: &'static str) -> Job {
    let sent = sent.clone();
    Box::new(move || sent.send(name).expect("a receiver"))
}

/// The names of what is run, in order, where all of it waits from the start.
fn order(mut queues: Queues, ran: &mpsc::Receiver<&'static str>) -> Vec<&'static str> {
    while let Some((length, job)) = queues.next() {
        job();
        if length == Length::Long {
            queues.long_running -= 1;
        }
    }
    ran.try_iter().collect()
}

#[test]
fn requests_take_turns() {
    let (sent, ran) = mpsc::channel();
    let mut queues = Queues::default();
    for name in ["many 1", "many 2", "many 3"] {
        queues.push(Turn(1), Length::Short, job(&sent, name));
    }
    queues.push(Turn(2), Length::Short, job(&sent, "one"));
    assert_eq!(order(queues, &ran), ["many 1", "one", "many 2", "many 3"]);
}

#[test]
fn longer_work_goes_behind_shorter_work_but_not_for_ever() {
    let (sent, ran) = mpsc::channel();
    let mut queues = Queues {
        most_long: 1,
        ..Queues::default()
    };
    queues.push(Turn(0), Length::Long, job(&sent, "long"));
    queues.push(Turn(1), Length::Middling, job(&sent, "middling"));
    (2..=21).for_each(|turn| queues.push(Turn(turn), Length::Short, job(&sent, "short")));
    let order = order(queues, &ran);
    let place = |wanted| order.iter().position(|name| *name == wanted);
    assert_eq!(place("long"), Some(Queues::PATIENCE));
    assert_eq!(place("middling"), Some(Queues::PATIENCE + 1));
    assert_eq!(order.len(), 22);
}

#[test]
fn how_long_work_is_follows_from_its_size() {
    for (pixels, length) in [
        (625_000, Length::Short),
        (625_001, Length::Middling),
        (5_000_001, Length::Long),
    ] {
        assert_eq!(Length::of_pixels(pixels), length, "{pixels}");
    }
    assert_eq!(Length::of_file(5 << 20), Length::Long);
}

#[tokio::test]
async fn long_work_leaves_a_thread_to_short_work() {
    let pool = Pool::new(2).expect("threads");
    let (end, ends) = mpsc::channel::<()>();
    let ends = Arc::new(Mutex::new(ends));
    let long = |_| {
        let ends = Arc::clone(&ends);
        pool.run_in_turn(pool.turn(), Length::Long, move |_| {
            ends.lock().expect("nobody panicked").recv().unwrap_or_default();
            Ok(())
        })
    };
    let long: Vec<_> = (0..4).map(long).collect();
    assert_eq!(pool.run(|_| Ok(7)).await, Ok(7), "it does not wait for them");
    drop(end);
    for one in long {
        assert_eq!(one.await, Ok(()));
    }
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_threads_go_on() {
    let pool = Pool::new(1).expect("a thread");
    let panics = pool.run::<()>(|_| panic!("on purpose"));
    assert!(matches!(panics.await, Err(Error::Internal(_))));
    assert_eq!(pool.run(|_| Ok(1)).await, Ok(1));
}
