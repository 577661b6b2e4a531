'use strict';
// Loads the native half, which is built for each platform.

/** An error whose `code` is PLATFORM. */
function refused(message, cause) {
  return Object.assign(new Error(message, { cause }), { code: 'PLATFORM' });
}

/** The native half for a platform. */
function load(platform, arch) {
  if (platform !== 'linux' || arch !== 'x64') {
    throw refused(`offheap has no binary for ${platform} ${arch}; it is built for linux x64 with glibc`);
  }
  try {
    return require('./prebuilds/linux-x64-gnu/offheap.node');
  } catch (cause) {
    if (cause?.code === 'MODULE_NOT_FOUND') {
      throw refused('offheap has no prebuilds/linux-x64-gnu/offheap.node; in a clone of the repository, run: npm run build', cause);
    }
    throw refused(`offheap's binary does not load here, which needs glibc: ${cause?.message ?? cause}`, cause);
  }
}

module.exports = { load };
