'use strict';
// Finds the line of script that calls a function of the package, for the ledger.

const { fileURLToPath } = require('node:url');

const { captureStackTrace } = Error;
const { hasOwn } = Object;

/** The place that called `callee`: `{ file, line, column }`, or undefined if the host does not tell. */
function placeOfCaller(callee) {
  const { prepareStackTrace, stackTraceLimit } = Error;
  const hadOwn = hasOwn(Error, 'prepareStackTrace');
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_, sites) => sites;
    const holder = {};
    captureStackTrace(holder, callee);
    const [site] = holder.stack;
    const file = site.getFileName();
    if (typeof file !== 'string') return undefined;
    return { file: file.startsWith('file:') ? fileURLToPath(file) : file, line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 };
  } catch {
    return undefined; // script has replaced or frozen what this needs
  } finally {
    try {
      if (hadOwn) Error.prepareStackTrace = prepareStackTrace;
      else delete Error.prepareStackTrace;
      Error.stackTraceLimit = stackTraceLimit;
    } catch {}
  }
}

module.exports = { placeOfCaller };
