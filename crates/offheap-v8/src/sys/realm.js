(() => {
  const Unshared = ArrayBuffer;
  const Shared = globalThis.SharedArrayBuffer;
  const Bytes = Uint8Array;
  const unshared = ArrayBuffer.prototype;
  const shared = typeof SharedArrayBuffer === "function" ? SharedArrayBuffer.prototype : {};
  const probeImmutable = () => {
    if (typeof unshared.transferToImmutable !== "function") return false;
    const buffer = new ArrayBuffer(8).transferToImmutable();
    const bytes = new Uint8Array(buffer);
    const view = new DataView(buffer);
    const writes = [
      () => { bytes[0] = 1; },
      () => Object.defineProperty(bytes, 0, { value: 1 }),
      () => Reflect.set(bytes, 0, 1),
      () => bytes.fill(1),
      () => bytes.set([1]),
      () => bytes.sort(() => 1),
      () => bytes.copyWithin(0, 1),
      () => bytes.setFromHex?.("01"),
      () => view.setUint8(0, 1),
      () => view.setFloat64(0, 1),
      ...["store", "add", "sub", "or", "xor", "exchange"].map((name) => () => Atomics[name](bytes, 0, 1)),
      () => Atomics.compareExchange(bytes, 0, 0, 1),
      () => buffer.transfer(4),
      () => buffer.resize(4),
    ];
    for (const write of writes) {
      try { write(); } catch { /* as it should */ }
    }
    return buffer.immutable === true && buffer.byteLength === 8 && bytes.every((byte) => byte === 0);
  };
  return [
    unshared.transfer,
    unshared.resize,
    shared.grow,
    unshared.transferToImmutable,
    (isShared, byteLength, maxByteLength) => {
      const New = isShared ? Shared : Unshared;
      return maxByteLength < 0 ? new New(byteLength) : new New(byteLength, { maxByteLength });
    },
    (buffer, index) => new Bytes(buffer)[index],
    (buffer, index, value) => { new Bytes(buffer)[index] = value; },
    probeImmutable,
  ];
})()
