import offheap from './index.js';

export const { allocate, mapFile, externalize, Externalized, stats, ledger } = offheap;
