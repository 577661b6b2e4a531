//! Messages of errors: the attempt, the state that prevented it, and the remedy.

use std::error::Error as StdError;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, SharedStore, UniqueStore};

type Result = std::result::Result<(), Box<dyn StdError>>;

#[test]
fn another_owner_is_named_as_a_program_writes_it() -> Result {
    let unique = UniqueStore::zeroed(8)?;
    let id = unique.id();
    assert_eq!(
        unique.try_into_owner::<Vec<u8>>().unwrap_err().to_string(),
        format!(
            "store {id} was not made from `Vec<u8>`; ask for the type that it was made from, or copy the bytes \
             (`to_vec`) if an engine made the memory"
        )
    );
    let unique = UniqueStore::zeroed(8)?;
    let error = unique.try_into_owner::<Box<[std::num::Wrapping<u16>]>>().unwrap_err().to_string();
    assert!(error.contains("not made from `Box<[Wrapping<u16>]>`;"), "{error}");
    Ok(())
}

#[test]
fn a_refused_length_says_whether_it_was_to_grow_or_to_be_resized() -> Result {
    let says = |error: offheap::Error, text: &str| assert!(error.to_string().ends_with(text), "{error}");
    let shared = SharedStore::growable(8, 4096)?;
    let id = shared.id();
    says(
        shared.grow(5000).unwrap_err(),
        &format!(
            "cannot grow store {id} to 5000 bytes: 4096 bytes are reserved; create it with max_byte_length >= 5000"
        ),
    );
    says(
        shared.slice(..4)?.grow(8).unwrap_err(),
        &format!(
            "cannot grow store {id} to 8 bytes: this handle is to a part of it; grow it through a handle to the whole"
        ),
    );
    let fixed = "to 16 bytes: its length is fixed; create it with `SharedStore::growable`";
    says(SharedStore::zeroed(8)?.grow(16).unwrap_err(), fixed);
    says(SharedStore::zeroed(8)?.slice(..4)?.grow(16).unwrap_err(), fixed);

    let store = BackingStore::from(UniqueStore::resizable(8, 4096)?);
    let id = store.id();
    says(
        store.slice(..4)?.resize(8).unwrap_err(),
        &format!(
            "cannot resize store {id} to 8 bytes: this handle is to a part of it; resize it through a handle to the whole"
        ),
    );
    let fixed = "to 16 bytes: its length is fixed; create it with `UniqueStore::resizable`";
    says(BackingStore::from(UniqueStore::zeroed(8)?).resize(16).unwrap_err(), fixed);
    says(BackingStore::from(UniqueStore::zeroed(8)?).slice(..4)?.resize(16).unwrap_err(), fixed);
    Ok(())
}

#[test]
fn a_read_of_exposed_bytes_is_told_of_copies_and_a_write_is_not() -> Result {
    let isolate = IsolateRegistration::new("test")?;
    let mut store = BackingStore::from(UniqueStore::zeroed(8)?);
    let _exposed = Hold::new(&store, isolate.id())?;
    let error = store.bytes().unwrap_err().to_string();
    assert!(
        error.ends_with(
            "use that isolate's scope, copy the bytes (`to_vec`, `copy_to_slice`), or detach or collect first"
        ),
        "{error}"
    );
    let error = store.bytes_mut().unwrap_err().to_string();
    assert!(error.ends_with("use that isolate's scope, or detach or collect first"), "{error}");
    Ok(())
}

#[test]
fn a_length_of_half_an_element_says_what_to_do() -> Result {
    let store = BackingStore::from(UniqueStore::zeroed(9)?);
    assert_eq!(
        store.copy_out::<u32>().unwrap_err().to_string(),
        format!(
            "store {} has 9 bytes, which is not a whole number of `u32`; slice it to a multiple of 4 bytes first",
            store.id()
        )
    );
    let error = store.copy_out::<()>().unwrap_err().to_string();
    assert!(error.ends_with("ask for a type that has a size"), "{error}");
    Ok(())
}

#[test]
fn one_buffer_is_not_counted_in_the_plural() -> Result {
    let (first, second) = (IsolateRegistration::new("test")?, IsolateRegistration::new("test")?);
    let (here, there) = (first.id(), second.id());
    let mut store = BackingStore::from(UniqueStore::zeroed(8)?);
    let one = Hold::new(&store, here)?;
    let check = |store: &mut BackingStore, count: &str, pronoun: &str| {
        let id = store.id();
        let message = Hold::new(store, there).unwrap_err().to_string();
        let there = format!(
            "cannot expose store {id} in {there}: it is exposed in {here} through {count}; detach or collect {pronoun} \
             there first, or copy its bytes"
        );
        assert_eq!(message, there);
        let message = store.bytes_mut().unwrap_err().to_string();
        assert!(message.contains(&format!("it is exposed in {here} through {count}; use")), "{message}");
        let message = store.clone().try_into_unique().unwrap_err().to_string();
        assert!(
            message
                .contains(&format!("through {count}, and 1 other reference lives; first detach or collect {pronoun},")),
            "{message}"
        );
    };
    check(&mut store, "1 live buffer", "it");
    let two = Hold::new(&store, here)?;
    check(&mut store, "2 live buffers", "them");
    let others = [store.clone(), store.clone()];
    let rejected = store.try_into_unique().unwrap_err();
    assert!(rejected.to_string().contains("2 live buffers, and 2 other references live; first"), "{rejected}");
    drop((two, others));
    let message = rejected.into_inner().try_into_unique().unwrap_err().to_string();
    assert!(
        message.ends_with(&format!("{here} has it through 1 live buffer; detach or collect it first")),
        "{message}"
    );
    drop(one);
    Ok(())
}
