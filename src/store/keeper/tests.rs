#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]

use super::*;
use crate::gateway::presence::Ends;

fn ends(name: &str) -> Ends {
    Ends {
        xmpp: format!("{name}@example.com"),
        sip: "juliet@example.net".to_owned(),
    }
}

fn put(name: &str) -> Change {
    Change::Put(Box::new(record(name)))
}

fn record(name: &str) -> Record {
    Record {
        ends: ends(name),
        watch: None,
        serve: None,
    }
}

fn handed(ticket: u64, changes: Vec<Change>) -> Event {
    Event::Handed(Handed {
        shard: 1,
        tickets: vec![ticket],
        changes,
    })
}

fn acts(keeper: &mut Keeper, now: Instant) -> Vec<Act> {
    let mut acts = Vec::new();
    while let Some(act) = keeper.poll(now) {
        let end = matches!(act, Act::End(_));
        acts.push(act);
        if end {
            break;
        }
    }
    acts
}

fn full() -> StoreError {
    StoreError::Full("file".to_owned())
}

/// One whose store is open, and empty.
fn ready(now: Instant) -> Keeper {
    let mut keeper = Keeper::new(now);
    assert_eq!(acts(&mut keeper, now), [Act::Open(Found::Well)]);
    keeper.handle(now, Event::Opened(Ok(())));
    assert_eq!(acts(&mut keeper, now), [Act::Read(None)]);
    keeper.handle(now, Event::Read(Ok(Part::default())));
    assert_eq!(acts(&mut keeper, now), [Act::Works, Act::Restored]);
    keeper
}

#[test]
fn all_that_is_stored_is_handed_over_before_anything_is_written() {
    let now = Instant::now();
    let mut keeper = Keeper::new(now);
    acts(&mut keeper, now);
    keeper.handle(now, Event::Opened(Ok(())));
    acts(&mut keeper, now);
    keeper.handle(now, handed(1, vec![put("late")]));
    let part = |records, next| {
        Event::Read(Ok(Part {
            records,
            unreadable: 0,
            next,
        }))
    };
    keeper.handle(now, part(vec![record("a")], Some(vec![1])));
    assert_eq!(
        acts(&mut keeper, now + MOMENT),
        [Act::Read(Some(vec![1])), Act::Restore(vec![record("a")])]
    );
    // Who has gone on meanwhile is not thrown back.
    keeper.handle(now, part(vec![record("b"), record("late")], None));
    assert_eq!(
        acts(&mut keeper, now + MOMENT),
        [
            Act::Restore(vec![record("b")]),
            Act::Works,
            Act::Restored,
            Act::Write(vec![put("late")])
        ]
    );
    keeper.handle(now, Event::Written(vec![put("late")], Ok(())));
    assert_eq!(acts(&mut keeper, now), [Act::Tell(1, vec![1])]);
}

#[test]
fn changes_are_gathered_for_a_moment_or_until_there_are_many_and_the_last_of_a_pair_counts() {
    let now = Instant::now();
    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a")]));
    keeper.handle(now, handed(2, vec![Change::Forget(ends("a"))]));
    assert_eq!(acts(&mut keeper, now), []);
    assert_eq!(keeper.timeout(), Some(now + MOMENT));
    let changes = vec![Change::Forget(ends("a"))];
    assert_eq!(acts(&mut keeper, now + MOMENT), [Act::Write(changes.clone())]);
    keeper.handle(now, handed(3, vec![put("a")]));
    assert_eq!(acts(&mut keeper, now + MOMENT), [], "one writing at a time");
    assert_eq!(keeper.pending(), 2);
    keeper.handle(now, Event::Written(changes, Ok(())));
    assert_eq!(
        acts(&mut keeper, now),
        [Act::Tell(1, vec![1]), Act::Tell(1, vec![2])]
    );
    let many = (0..GROUP - 1).map(|number| put(&number.to_string())).collect();
    keeper.handle(now, handed(4, many));
    assert!(matches!(acts(&mut keeper, now).as_slice(), [Act::Write(changes)] if changes.len() == GROUP));
}

#[test]
fn while_it_does_not_work_nobody_waits_and_everything_is_written_later() {
    let now = Instant::now();
    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a"), put("b")]));
    let Some(Act::Write(changes)) = keeper.poll(now + MOMENT) else {
        panic!("nothing is written")
    };
    keeper.handle(now, handed(2, vec![Change::Forget(ends("b"))]));
    keeper.handle(now, Event::Written(changes, Err(full())));
    let told = acts(&mut keeper, now);
    assert!(
        matches!(told.as_slice(), [Act::Failed(error, _), Act::Tell(1, first), Act::Tell(1, second)]
            if *error == full() && first == &[1] && second == &[2]),
        "{told:?}"
    );
    keeper.handle(now, handed(3, vec![put("c")]));
    assert_eq!(
        acts(&mut keeper, now),
        [Act::Tell(1, vec![3])],
        "nobody waits for the next"
    );
    let again = keeper.timeout().unwrap();
    assert!(again > now);
    assert_eq!(acts(&mut keeper, again), [Act::Open(Found::Well)]);
    keeper.handle(again, Event::Opened(Err(full())));
    assert!(keeper.timeout().unwrap() - again > again - now, "the pauses grow");
    acts(&mut keeper, again);
    let again = keeper.timeout().unwrap();
    acts(&mut keeper, again);
    keeper.handle(again, Event::Opened(Ok(())));
    let done = acts(&mut keeper, again);
    let [Act::Works, Act::Write(changes)] = done.as_slice() else {
        panic!("{done:?}")
    };
    let mut changes = changes.clone();
    changes.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(changes, [Change::Forget(ends("b")), put("a"), put("c")]);
}

#[test]
fn where_it_cannot_be_opened_at_all_the_shards_go_on_without_it() {
    let now = Instant::now();
    let mut keeper = Keeper::new(now);
    keeper.handle(now, handed(1, vec![put("a")]));
    acts(&mut keeper, now);
    keeper.handle(now, Event::Opened(Err(StoreError::Locked("file".to_owned()))));
    let told = acts(&mut keeper, now);
    assert!(
        matches!(told.as_slice(), [Act::Failed(StoreError::Locked(_), _), Act::Tell(1, first), Act::Restored] if first == &[1]),
        "{told:?}"
    );
    // Later it can: what is in it is handed over all the same, and said once.
    let again = keeper.timeout().unwrap();
    acts(&mut keeper, again);
    keeper.handle(again, Event::Opened(Ok(())));
    assert_eq!(acts(&mut keeper, again), [Act::Read(None)]);
    let part = Part {
        records: vec![record("a"), record("b")],
        ..Part::default()
    };
    keeper.handle(again, Event::Read(Ok(part)));
    assert_eq!(
        acts(&mut keeper, again),
        [
            Act::Restore(vec![record("b")]),
            Act::Works,
            Act::Write(vec![put("a")])
        ]
    );
}

#[test]
fn a_store_that_does_not_answer_holds_up_nobody_for_long() {
    let now = Instant::now();
    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a")]));
    let later = now + MOMENT;
    acts(&mut keeper, later);
    assert_eq!(keeper.timeout(), Some(later + PATIENCE));
    assert_eq!(
        acts(&mut keeper, later + PATIENCE),
        [Act::Silent, Act::Tell(1, vec![1])]
    );
    assert_eq!(keeper.timeout(), None);
    keeper.handle(later, handed(2, vec![put("b")]));
    assert_eq!(acts(&mut keeper, later), [Act::Tell(1, vec![2])]);
    keeper.handle(later, Event::Written(vec![put("a")], Ok(())));
    assert_eq!(acts(&mut keeper, later), [Act::Works]);
    assert_eq!(acts(&mut keeper, later + MOMENT), [Act::Write(vec![put("b")])]);
}

#[test]
fn a_store_found_damaged_while_in_use_is_put_aside() {
    let now = Instant::now();
    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a")]));
    acts(&mut keeper, now + MOMENT);
    let damaged = StoreError::Damaged {
        file: "file".to_owned(),
        what: "a page".to_owned(),
    };
    keeper.handle(now, Event::Written(vec![put("a")], Err(damaged)));
    acts(&mut keeper, now);
    let again = keeper.timeout().unwrap();
    assert_eq!(acts(&mut keeper, again), [Act::Open(Found::Damaged)]);
    keeper.handle(again, Event::Opened(Ok(())));
    assert_eq!(acts(&mut keeper, again), [Act::Works, Act::Write(vec![put("a")])]);
}

#[test]
fn what_has_no_room_in_memory_is_told_and_nothing_grows_beyond() {
    let now = Instant::now();
    let mut keeper = Keeper::new(now);
    acts(&mut keeper, now);
    keeper.handle(now, Event::Opened(Err(full())));
    acts(&mut keeper, now);
    let change = |number: usize| {
        Change::Forget(Ends {
            xmpp: number.to_string(),
            sip: String::new(),
        })
    };
    let many = |from: usize, count: usize| (from..from + count).map(change).collect();
    keeper.handle(now, handed(1, many(0, crate::limits::STORED_CHANGES)));
    assert_eq!(acts(&mut keeper, now), [Act::Tell(1, vec![1])]);
    keeper.handle(now, handed(2, many(1, crate::limits::STORED_CHANGES + 3)));
    assert_eq!(acts(&mut keeper, now), [Act::Lost(4), Act::Tell(1, vec![2])]);
    assert_eq!(keeper.pending(), crate::limits::STORED_CHANGES);
}

#[test]
fn at_the_end_everything_is_written_at_once_or_it_is_told_how_much_was_not() {
    let now = Instant::now();
    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a")]));
    keeper.handle(now, Event::Close);
    assert_eq!(acts(&mut keeper, now), [Act::Write(vec![put("a")])]);
    keeper.handle(now, Event::Written(vec![put("a")], Ok(())));
    assert_eq!(acts(&mut keeper, now), [Act::Tell(1, vec![1]), Act::End(0)]);

    let mut keeper = ready(now);
    keeper.handle(now, handed(1, vec![put("a"), put("b")]));
    let Some(Act::Write(changes)) = keeper.poll(now + MOMENT) else {
        panic!("nothing is written")
    };
    keeper.handle(now, Event::Written(changes, Err(full())));
    acts(&mut keeper, now);
    keeper.handle(now, Event::Close);
    assert_eq!(
        acts(&mut keeper, now),
        [Act::Open(Found::Well)],
        "once more, without a pause"
    );
    keeper.handle(now, Event::Opened(Err(full())));
    let done = acts(&mut keeper, now);
    assert!(
        matches!(done.as_slice(), [Act::Failed(..), Act::End(2)]),
        "{done:?}"
    );

    let mut keeper = Keeper::new(now);
    acts(&mut keeper, now);
    keeper.handle(now, Event::Close);
    assert_eq!(acts(&mut keeper, now), [], "it is being opened");
    keeper.handle(now, Event::Opened(Ok(())));
    acts(&mut keeper, now);
    let part = Part {
        records: vec![record("a")],
        next: Some(vec![1]),
        unreadable: 0,
    };
    keeper.handle(now, Event::Read(Ok(part)));
    assert_eq!(
        acts(&mut keeper, now).last(),
        Some(&Act::End(0)),
        "nothing is read to its end"
    );
}
