//! What runs after the script: microtasks, callbacks of registries, and promises that nothing handles.

use crate::common::{Engine, Folder, QUICKJS};

on_each_engine!(
    b16_what_a_callback_of_a_registry_throws_is_said,
    b16_what_it_throws_ends_the_run_before_what_is_queued_after_it,
    b16_rejections_cost_what_their_number_is,
    b16_the_first_rejection_that_stays_unhandled_is_said,
);

fn b16_what_a_callback_of_a_registry_throws_is_said(engine: Engine) {
    for (thrown, said) in [("new TypeError('in a callback')", "TypeError: in a callback"), ("'text'", "\"text\"")] {
        let ran = Folder::new(engine).script(format!(
            "const registry = new FinalizationRegistry((held) => {{ console.log(held); throw {thrown} }});
             (() => registry.register({{}}, 'called'))();
             nativeModule.gc();"
        ));
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), "called\n"), "{ran:#?}");
        let said = said.trim_matches('"');
        assert!(ran.stderr.lines().next().is_some_and(|line| line.contains(said)), "{ran:#?}");
        assert!(ran.stderr.ends_with("offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n"), "{ran:#?}");
    }
}

fn b16_what_it_throws_ends_the_run_before_what_is_queued_after_it(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const registry = new FinalizationRegistry(() => { Promise.resolve().then(() => console.log('after')); throw 1 });
         (() => { registry.register({}); registry.register({}); })();
         nativeModule.gc();",
    );
    assert_eq!(ran.status, Some(1), "{ran:#?}");
    let first = ran.stderr.lines().next().expect("a line");
    assert!(first.starts_with("offheap: uncaught 1"), "{ran:#?}");
    assert_eq!(ran.stderr.matches("uncaught").count(), 1, "{ran:#?}");
}

#[test]
fn b16_what_a_microtask_throws_is_said() {
    let ran = Folder::new(QUICKJS).script(
        "Promise.resolve().then(() => console.log('before'));
         queueMicrotask(() => { throw new RangeError('in a microtask') });
         queueMicrotask(() => console.log('after'));",
    );
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), "before\n"), "{ran:#?}");
    assert!(ran.stderr.starts_with("offheap: uncaught RangeError: in a microtask\n"), "{ran:#?}");
}

fn b16_rejections_cost_what_their_number_is(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const time = (count) => {
           const rejected = [], began = Date.now();
           for (let index = 0; index < count; index++) rejected.push(Promise.reject(index));
           for (const promise of rejected) promise.catch(() => {});
           return Math.max(Date.now() - began, 5);
         };
         time(1000);
         const few = time(1000), many = time(32000);
         // 32 times as much where each costs the same, 1,024 times where each costs what all do.
         console.log(many < 200 * few || `${few} ms, and ${many} ms for 32 times as many`);",
    );
    ran.expect(0, "true\n", "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n");
}

fn b16_the_first_rejection_that_stays_unhandled_is_said(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const rejected = Array.from({ length: 100 }, (_, index) => Promise.reject(index));
         for (const index of [3, 0, 99, 1, 50, 2, 5]) rejected[index].catch(() => {});",
    );
    assert_eq!(ran.status, Some(1), "{ran:#?}");
    assert!(ran.stderr.starts_with("offheap: uncaught 4"), "{ran:#?}");
}
