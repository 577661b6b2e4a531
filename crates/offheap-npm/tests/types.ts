// Compiled and not run: what TypeScript thinks of the package.
import { Externalized, allocate, externalize, ledger, mapFile, stats } from 'offheap';

const buffer: ArrayBuffer = allocate(1024);
const file: ArrayBuffer | SharedArrayBuffer = mapFile('name', 'rw', { offset: 8, length: 16 });
const words = new Int32Array(mapFile(new URL('file:///name')));
const kept: Externalized = externalize(words);
const { buffer: again, copied, reason }: { buffer: ArrayBuffer | SharedArrayBuffer; copied: boolean; reason: string | null } = kept.expose();
const released: boolean = kept.release();
{
  using other = externalize(new DataView(buffer));
  other.byteOffset.toFixed();
}
const mode: 'stores' | 'external' | 'copy' = stats().mode;
ledger.install('full', { file: 'leak.jsonl', sampleBytes: 1 << 19 });
const places: string[] = ledger.snapshot().totals.map(({ site }) => site);

// @ts-expect-error there is no such mode
mapFile('name', 'ro');
// @ts-expect-error a length is a number
allocate('1024');
// @ts-expect-error script makes none
new Externalized();
// @ts-expect-error it is read-only
kept.byteLength = 1;

export { again, copied, file, mode, places, reason, released };
