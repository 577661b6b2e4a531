//! The order of checks: not detachable (shared), immutable, detached, the detach key, the length.

use offheap_engine::offheap::SharedStore;
use offheap_engine::{Engine, Error, Handle, JsArrayBuffer};

use super::kit::frozen;
use crate::{Capabilities, Case, Failure, Lab};

/// A call that several checks would refuse.
struct Refusal {
    buffer: Buffer,
    /// The preparation of the buffer before the call.
    before: &'static [Before],
    call: Call,
    /// The name of the error of the first check, or `"Ok"` if the call succeeds.
    expected: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Buffer {
    Fixed,
    Resizable,
    Immutable,
    ImmutableEmpty,
    Shared,
    Growable,
}

#[derive(Clone, Copy, Debug)]
enum Before {
    SetKey,
    Detach,
    DetachWithKey,
    /// The call is made in another isolate.
    Leave,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Detach(Option<&'static str>),
    SetDetachKey,
    Transfer(Option<usize>),
    Take(Option<&'static str>),
    Resize(usize),
    Read,
    Write,
}

const KEY: &str = "key";
const OTHER: Option<&str> = Some("other");
/// More than the 16 bytes that resizable buffers here may have.
const LONG: usize = 17;
/// More than any engine makes.
const TOO_LONG: usize = isize::MAX as usize;

macro_rules! order {
    ($($number:literal $name:literal needs [$($needs:ident),*]: $buffer:ident $before:tt $call:expr => $expected:literal;)*) => {
        pub(super) const CASES: &[Case] = &[$(Case {
            number: $number,
            name: $name,
            needs: Capabilities::empty()$(.union(Capabilities::$needs))*,
            summary: concat!("`", stringify!($call), "` of such a buffer: ", $expected, "."),
            run: |lab| {
                let refusal = Refusal {
                    buffer: Buffer::$buffer,
                    before: &$before,
                    call: $call,
                    expected: $expected,
                };
                refusal.check(lab)
            },
        }),*];
    };
}

use Before::{Detach as Detached, DetachWithKey as DetachedWithKey, Leave as Elsewhere, SetKey as Keyed};
use Call::{Detach, Read, Resize, SetDetachKey, Take, Transfer, Write};

order! {
    "P-ORDER-1" "p_order_detach_shared_before_key" needs [SHARED]:
        Shared [] Detach(OTHER) => "NotDetachable";
    "P-ORDER-2" "p_order_detach_immutable_before_a_key_that_is_not_set" needs [IMMUTABLE]:
        Immutable [] Detach(OTHER) => "Immutable";
    "P-ORDER-3" "p_order_detach_immutable_before_another_key" needs [IMMUTABLE, DETACH_KEYS]:
        Immutable [Keyed] Detach(OTHER) => "Immutable";
    "P-ORDER-4" "p_order_detach_immutable_before_no_key" needs [IMMUTABLE, DETACH_KEYS]:
        Immutable [Keyed] Detach(None) => "Immutable";
    "P-ORDER-5" "p_order_detach_empty_immutable_before_another_key" needs [IMMUTABLE, DETACH_KEYS]:
        ImmutableEmpty [Keyed] Detach(OTHER) => "Immutable";
    "P-ORDER-6" "p_order_detach_detached_again" needs []:
        Fixed [Detached] Detach(None) => "Ok";
    "P-ORDER-7" "p_order_detach_detached_before_a_key_that_is_not_set" needs []:
        Fixed [Detached] Detach(OTHER) => "WrongDetachKey";
    "P-ORDER-8" "p_order_detach_detached_with_key_set_before" needs [DETACH_KEYS]:
        Fixed [Keyed, DetachedWithKey] Detach(None) => "WrongDetachKey";
    "P-ORDER-9" "p_order_detach_detached_with_key_set_after" needs [DETACH_KEYS]:
        Fixed [Detached, Keyed] Detach(None) => "WrongDetachKey";
    "P-ORDER-10" "p_order_set_detach_key_shared" needs [SHARED, DETACH_KEYS]:
        Shared [] SetDetachKey => "NotDetachable";
    "P-ORDER-11" "p_order_set_detach_key_immutable" needs [IMMUTABLE, DETACH_KEYS]:
        Immutable [] SetDetachKey => "Ok";
    "P-ORDER-12" "p_order_set_detach_key_detached" needs [DETACH_KEYS]:
        Fixed [Detached] SetDetachKey => "Ok";
    "P-ORDER-13" "p_order_transfer_shared_before_length" needs [SHARED]:
        Shared [] Transfer(Some(TOO_LONG)) => "NotDetachable";
    "P-ORDER-14" "p_order_transfer_growable_before_length" needs [SHARED, RESIZABLE]:
        Growable [] Transfer(Some(LONG)) => "NotDetachable";
    "P-ORDER-15" "p_order_transfer_immutable_before_length" needs [IMMUTABLE]:
        Immutable [] Transfer(Some(TOO_LONG)) => "Immutable";
    "P-ORDER-16" "p_order_transfer_immutable_before_key" needs [IMMUTABLE, DETACH_KEYS]:
        Immutable [Keyed] Transfer(None) => "Immutable";
    "P-ORDER-17" "p_order_transfer_empty_immutable" needs [IMMUTABLE, DETACH_KEYS]:
        ImmutableEmpty [Keyed] Transfer(Some(TOO_LONG)) => "Immutable";
    "P-ORDER-18" "p_order_transfer_detached_before_key" needs [DETACH_KEYS]:
        Fixed [Detached, Keyed] Transfer(None) => "Detached";
    "P-ORDER-19" "p_order_transfer_detached_before_length" needs []:
        Fixed [Detached] Transfer(Some(TOO_LONG)) => "Detached";
    "P-ORDER-20" "p_order_transfer_key_before_length" needs [DETACH_KEYS, RESIZABLE]:
        Resizable [Keyed] Transfer(Some(LONG)) => "WrongDetachKey";
    "P-ORDER-21" "p_order_transfer_key_before_limit" needs [DETACH_KEYS]:
        Fixed [Keyed] Transfer(Some(TOO_LONG)) => "WrongDetachKey";
    "P-ORDER-22" "p_order_transfer_length" needs [RESIZABLE]:
        Resizable [] Transfer(Some(LONG)) => "InvalidLength";
    "P-ORDER-23" "p_order_transfer_limit" needs []:
        Fixed [] Transfer(Some(TOO_LONG)) => "InvalidLength";
    "P-ORDER-24" "p_order_resize_immutable_before_not_resizable" needs [IMMUTABLE]:
        Immutable [] Resize(TOO_LONG) => "Immutable";
    "P-ORDER-25" "p_order_resize_detached_before_not_resizable" needs []:
        Fixed [Detached] Resize(4) => "Detached";
    "P-ORDER-26" "p_order_resize_detached_before_length" needs [RESIZABLE]:
        Resizable [Detached] Resize(LONG) => "Detached";
    "P-ORDER-27" "p_order_resize_not_resizable_before_length" needs []:
        Fixed [] Resize(TOO_LONG) => "NotResizable";
    "P-ORDER-28" "p_order_resize_shared_not_resizable_before_length" needs [SHARED]:
        Shared [] Resize(TOO_LONG) => "NotResizable";
    "P-ORDER-29" "p_order_resize_needs_no_key" needs [DETACH_KEYS, RESIZABLE]:
        Resizable [Keyed] Resize(16) => "Ok";
    "P-ORDER-30" "p_order_resize_length" needs [RESIZABLE]:
        Resizable [] Resize(TOO_LONG) => "InvalidLength";
    "P-ORDER-31" "p_order_grow_shrink" needs [RESIZABLE, SHARED]:
        Growable [] Resize(1) => "InvalidLength";
    "P-ORDER-32" "p_order_grow_length" needs [RESIZABLE, SHARED]:
        Growable [] Resize(TOO_LONG) => "InvalidLength";
    "P-ORDER-33" "p_order_write_immutable" needs [IMMUTABLE]:
        Immutable [] Write => "Immutable";
    "P-ORDER-34" "p_order_write_detached" needs []:
        Fixed [Detached] Write => "Detached";
    "P-ORDER-35" "p_order_read_detached" needs []:
        Fixed [Detached] Read => "Detached";
    "P-ORDER-36" "p_order_isolate_before_shared" needs [SHARED]:
        Shared [Elsewhere] Detach(None) => "WrongIsolate";
    "P-ORDER-37" "p_order_isolate_before_immutable" needs [IMMUTABLE]:
        Immutable [Elsewhere] Write => "WrongIsolate";
    "P-ORDER-38" "p_order_isolate_before_detached" needs []:
        Fixed [Detached, Elsewhere] Read => "WrongIsolate";
    "P-ORDER-39" "p_order_isolate_before_length" needs []:
        Fixed [Elsewhere] Resize(TOO_LONG) => "WrongIsolate";
    "P-ORDER-40" "p_order_isolate_before_transfer" needs []:
        Fixed [Elsewhere] Transfer(None) => "WrongIsolate";
    "P-ORDER-41" "p_order_isolate_before_set_key" needs [SHARED, DETACH_KEYS]:
        Shared [Elsewhere] SetDetachKey => "WrongIsolate";
    "P-ORDER-42" "p_order_write_empty_immutable" needs [IMMUTABLE]:
        ImmutableEmpty [] Write => "Immutable";
    "P-ORDER-43" "p_order_resize_empty_immutable" needs [IMMUTABLE]:
        ImmutableEmpty [] Resize(0) => "Immutable";
    "P-ORDER-44" "p_order_take_shared_before_key" needs [SHARED]:
        Shared [] Take(OTHER) => "NotDetachable";
    "P-ORDER-45" "p_order_take_immutable_before_key" needs [IMMUTABLE]:
        Immutable [] Take(OTHER) => "Immutable";
    "P-ORDER-46" "p_order_take_detached_before_key" needs []:
        Fixed [Detached] Take(OTHER) => "Detached";
    "P-ORDER-47" "p_order_take_with_a_key_that_is_not_set" needs []:
        Fixed [] Take(OTHER) => "WrongDetachKey";
    "P-ORDER-48" "p_order_take_without_the_key" needs [DETACH_KEYS]:
        Fixed [Keyed] Take(None) => "WrongDetachKey";
    "P-ORDER-49" "p_order_take_with_the_key" needs [DETACH_KEYS]:
        Fixed [Keyed] Take(Some(KEY)) => "Ok";
    "P-ORDER-50" "p_order_isolate_before_take" needs []:
        Fixed [Detached, Elsewhere] Take(None) => "WrongIsolate";
}

impl Refusal {
    fn check(&self, lab: &Lab<'_>) -> Result<(), Failure> {
        let mut home = lab.isolate()?;
        let buffer = self.buffer.make(&mut *home)?;
        let mut other = None;
        for before in self.before {
            match before {
                Before::SetKey => home.set_detach_key(&buffer, Some(KEY))?,
                Before::Detach => home.detach(&buffer, None)?,
                Before::DetachWithKey => home.detach(&buffer, Some(KEY))?,
                Before::Leave => other = Some(lab.isolate()?),
            }
        }
        let before = home.state(&buffer)?;
        let engine = other.as_mut().unwrap_or(&mut home);
        let seen = match self.call.make(&mut **engine, &buffer) {
            Ok(()) => "Ok".to_owned(),
            Err(error) => crate::errors::kind_of(&error),
        };
        expect_eq!(seen, self.expected, "{:?} of a {:?} buffer after {:?}", self.call, self.buffer, self.before);
        if seen != "Ok" {
            expect_eq!(home.state(&buffer)?, before, "the buffer after the refusal");
        }
        Ok(())
    }
}

impl Buffer {
    fn make(self, engine: &mut dyn Engine) -> Result<Handle<JsArrayBuffer>, Failure> {
        Ok(match self {
            Buffer::Fixed => engine.allocate(8, None)?,
            Buffer::Resizable => engine.allocate(8, Some(16))?,
            Buffer::Immutable => engine.expose(&frozen(8)?)?.0,
            Buffer::ImmutableEmpty => engine.expose(&frozen(0)?)?.0,
            Buffer::Shared => engine.expose(SharedStore::zeroed(8)?.as_store())?.0,
            Buffer::Growable => engine.allocate_shared(8, Some(16))?,
        })
    }
}

impl Call {
    fn make(self, engine: &mut dyn Engine, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        match self {
            Call::Detach(key) => engine.detach(buffer, key),
            Call::SetDetachKey => engine.set_detach_key(buffer, Some(KEY)),
            Call::Transfer(byte_length) => engine.transfer(buffer, byte_length).map(drop),
            Call::Take(key) => engine.take(buffer, key).map(drop),
            Call::Resize(byte_length) => engine.resize(buffer, byte_length),
            Call::Read => engine.read(buffer, 0).map(drop),
            Call::Write => engine.write(buffer, 0, 9),
        }
    }
}
