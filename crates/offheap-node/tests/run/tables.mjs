// The summary: a table for each mode, and the reasons of what is expected not to pass.
import { hosts, modes } from '../hosts.mjs';

export function tables(cells, leftOut) {
  const lines = [];
  for (const mode of modes) {
    const ofMode = cells.filter(cell => cell.mode === mode);
    if (!ofMode.length) continue;
    const columns = Object.keys(hosts).filter(host => ofMode.some(cell => cell.host === host));
    const rows = [...new Set(ofMode.map(cell => cell.name))];
    const width = Math.max(...rows.map(name => name.length));
    lines.push('', `${mode.padEnd(width)} ${columns.map(host => host.padStart(8)).join('')}`);
    for (const name of rows) {
      const texts = columns.map(host => {
        const cell = ofMode.find(each => each.host === host && each.name === name);
        if (!cell) return '';
        return cell.right ? (cell.got.kind === 'pass' ? 'ok' : cell.got.kind) : `!${cell.got.kind}`;
      });
      lines.push(`${name.padEnd(width)} ${texts.map(text => text.padStart(8)).join('')}`);
    }
  }
  return [...lines, ...reasons(cells), ...notRun(cells, leftOut)].join('\n');
}

function reasons(cells) {
  const groups = new Map();
  for (const { right, got, expected, host, mode, name } of cells) {
    if (!right || got.kind === 'pass') continue;
    const key = `${mode}: ${expected.why}`;
    if (!groups.has(key)) groups.set(key, { inHosts: new Set(), names: new Set() });
    groups.get(key).inHosts.add(host);
    groups.get(key).names.add(name);
  }
  const line = ([key, { inHosts, names }]) => `  ${key}\n    ${[...inHosts].join(' ')}: ${[...names].join(' ')}`;
  return ['', 'Not a pass, as expected:', ...[...groups].map(line)];
}

function notRun(cells, leftOut) {
  const lines = [...leftOut].map(text => `  ${text}`);
  for (const [name, { about, cannot = {} }] of Object.entries(hosts)) {
    if (!cells.some(cell => cell.host === name)) continue;
    for (const [mode, why] of Object.entries(cannot)) lines.push(`  ${about}, ${mode}: ${why}`);
  }
  return ['', 'Not run:', ...lines, ''];
}
