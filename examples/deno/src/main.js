const { op_squares, op_sum, op_sort, op_table, op_reverse } = Deno.core.ops;
const print = (text) => Deno.core.print(`${text}\n`);

print(op_squares(5));
print(op_sum(new Uint8Array([1, 2, 3])));

const buffer = new Uint8Array([3, 1, 2]).buffer;
print(new Uint8Array(op_sort(buffer)));
print(`detached: ${buffer.detached}`);

const table = op_table();
print(`${new BigUint64Array(table)}, immutable: ${table.immutable}`);

try {
  op_sum("text");
} catch (error) {
  print(`${error.name} ${error.code}: ${error.message}`);
}

op_reverse(new Uint8Array([1, 2, 3])).then((reversed) => print(new Uint8Array(reversed)));
