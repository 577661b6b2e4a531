// What is expected of the cells of the matrix, where it is not a pass. A line fits the cells that have one of its hosts, modes
// and scenarios; where it names none, all. `is`: the kinds that are right (run/process.mjs and `fail` in harness.mjs name
// them). A cell that passes although a line is about it fails the run too.

const node = 'n20 n20t n22 n24 n26';
const newNode = 'n22 n24 n26'; // they refuse to move external buffers; Node 20 copies them without a word

// What the hosts do not have, in any mode.
const lacks = [
  { host: 'n20 n18', scenario: 'move/transferEqual move/transferOther move/transferZero move/transferToFixedLength move/transferHeld move/transferHeldOurs',
    is: 'lacks', why: 'there is no ArrayBuffer.prototype.transfer' },
  { host: 'n18', scenario: 'kinds/resizableShrinks kinds/outOfBounds kinds/growableGrows', is: 'lacks', why: 'buffers have a fixed length there' },
];

// Where offheap has Node-API's external buffers only, the hosts move them as little as those of others.
const external = [
  { host: 'n20 n20t', mode: 'external', scenario: 'move/clone workers/thereAndBack workers/thereAndBackHeld', is: 'wrong',
    why: 'an external buffer is copied and not detached, and nothing says so' },
  { host: 'n18', mode: 'auto', scenario: 'move/clone workers/thereAndBack workers/thereAndBackHeld', is: 'wrong',
    why: 'an external buffer is copied and not detached, and nothing says so' },
  { host: newNode, mode: 'external', scenario: 'move/clone workers/postAndExit workers/thereAndBack workers/thereAndBackHeld', is: 'refused',
    why: 'the host refuses to move an external buffer that was not transferred before' },
  { host: 'bun', mode: 'external', scenario: 'move/clone workers/thereAndBack workers/thereAndBackHeld', is: 'refused',
    why: 'the host refuses to move an external buffer that was not transferred before' },
];

// The controls: with plain Node-API the scenarios show what is wrong with it.
const plain = [
  // A finalizer is not a reference count.
  { host: 'n20t n22 n24 n26 bun', mode: 'plain', scenario: 'workers/exit workers/terminate workers/onlyTheWorkerLoads', is: 'poison',
    why: 'the finalizer runs when the worker ends, and the transferred buffer is in use in main' },
  { host: 'n20t n22 n24 n26 bun', mode: 'plain', scenario: 'copies/workerWithBoth', is: 'poison',
    why: 'the finalizer runs when the worker ends, and the transferred buffer is in use in main' },
  { host: 'n20', mode: 'plain', scenario: 'workers/exit workers/terminate copies/workerWithBoth', is: 'early',
    why: 'an external buffer is copied when it is posted, and nothing says so' },
  { host: 'n20', mode: 'plain', scenario: 'workers/onlyTheWorkerLoads', is: 'leak',
    why: 'the addon was unloaded with the worker, and main has loaded another' },
  { mode: 'plain', scenario: 'copies/lentByAnother', is: 'poison', why: 'an addon frees the memory that it lent when the worker ends' },
  { mode: 'plain', scenario: 'life/twice life/pointerTwice', is: 'twice', why: 'each of the two buffers has a finalizer' },
  { host: newNode, mode: 'plain', scenario: 'maps/sort', is: 'fault', why: 'the bytes of an ArrayBuffer change while V8 sorts them' },
  // A strong reference and a pointer do not keep memory.
  { host: `${node} deno`, mode: 'plain', scenario: 'life/heldOverDetach', is: 'fault wrong', why: 'the pointer dangles' },
  { host: node, mode: 'plain', scenario: 'workers/heldAfterExit', is: 'fault wrong', why: 'the pointer dangles' },
  { host: 'deno', mode: 'plain', scenario: 'workers/heldAfterExit', is: 'fault wrong pass',
    why: 'the pointer dangles, and it is luck whether the memory was used again' },
  { host: 'n20t n22 n24 n26 deno', mode: 'plain', scenario: 'move/transferHeld', is: 'fault wrong', why: 'the pointer dangles' },
  { host: 'bun', mode: 'plain', scenario: 'life/heldOverDetach workers/heldAfterExit move/transferHeld', is: 'wrong fault',
    why: 'the pointer dangles: it reads zeros' },
  { mode: 'plain', scenario: 'life/heldOverNativeDetach kinds/viewOverDetach copies/overDetach', is: 'poison', why: 'the pointer dangles' },
  { host: 'n20t n22 n24 n26 deno bun', mode: 'plain', scenario: 'move/transferHeldOurs', is: 'poison', why: 'the pointer dangles' },
  { mode: 'plain', scenario: 'kinds/resizableShrinks', is: 'fault', why: 'the pages behind the new end are protected' },
  { mode: 'plain', scenario: 'kinds/outOfBounds', is: 'wrong', why: 'a view that is out of bounds has no bytes, and nothing says so' },
  { host: 'bun', mode: 'plain', scenario: 'kinds/wasm', is: 'fault', why: 'the memory moves when it grows' },
  { mode: 'plain', scenario: 'threads/oursDroppedAfterItsWorker', is: 'early', why: 'the reference ends with the worker' },
  { host: `${node} deno`, mode: 'plain', scenario: 'threads/detachUnderRead', is: 'poison', why: 'the detach frees what the read writes' },
  { host: 'deno', mode: 'plain', scenario: 'workers/thereAndBackHeld', is: 'early', why: 'the reference keeps a detached buffer' },
  // External buffers do not move.
  { host: 'n20 n20t', mode: 'plain', scenario: 'move/clone workers/thereAndBack workers/thereAndBackHeld', is: 'wrong',
    why: 'an external buffer is copied and not detached, and nothing says so' },
  { host: 'n20 n20t', mode: 'plain', scenario: 'workers/postAndExit', is: 'early', why: 'an external buffer is copied when it is posted' },
  { host: `${newNode} bun`, mode: 'plain', scenario: 'move/clone workers/postAndExit workers/thereAndBack workers/thereAndBackHeld', is: 'refused',
    why: 'the host refuses to move an external buffer that was not transferred before' },
  // Smaller things.
  { host: `${node} bun`, mode: 'plain', scenario: 'life/empty', is: 'error', why: 'an external buffer of no bytes, with NULL, is detached from the start' },
  { host: 'n20t n22 n24 n26 bun', mode: 'plain', scenario: 'move/transferZero', is: 'error',
    why: 'an external buffer of no bytes, with NULL, is detached from the start' },
  { host: 'deno', mode: 'plain', scenario: 'life/empty move/transferZero', is: 'leak', why: 'the finalizer of a buffer of no bytes never runs' },
  { mode: 'plain', scenario: 'pressure/thousandInOneTurn pressure/thousandInOneTurnOfAWorker', is: 'kept', why: 'finalizers wait for the next turn of the event loop' },
  { host: 'n20 n20t deno', mode: 'plain', scenario: 'workers/shared workers/sharedAndExit kinds/growableGrows kinds/sharedOfScript', is: 'lacks',
    why: 'Node-API has no function for a SharedArrayBuffer there' },
];

export const expectations = [...lacks, ...external, ...plain];
