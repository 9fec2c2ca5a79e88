// Reads a reference's JSON and the Parquet file it names, with no library of ours.
//
//     node read_reference.mjs NODE_MODULES REFERENCE.json COLUMN
//
// Prints {"rows", "sum", "nulls", "columns", "first"} of the table; sum and nulls are those of COLUMN.

import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [nodeModules, referenceFile, column] = process.argv.slice(2)

// An import by name looks beside this file only; the modules lie elsewhere.
const { resolve } = createRequire(join(nodeModules, 'here.js'))
const load = (name) => import(pathToFileURL(resolve(name)))
const { asyncBufferFromFile, parquetReadObjects, parquetMetadataAsync } = await load('hyparquet')
const { compressors } = await load('hyparquet-compressors')

const reference = JSON.parse(await readFile(referenceFile, 'utf8'))
if (reference.type !== 'reference' || reference.format !== 1) throw new Error('this is no reference of format 1')
if (reference.serializer.type !== 'parquet') throw new Error(`this is ${reference.serializer.type}, not parquet`)

// `storage` is a URL. A part's path is a name under it: a percent sign in it is a percent sign in the file's name.
const root = fileURLToPath(reference.storage)
const rows = []
for (const part of reference.parts) {
  const path = join(root, part.path)
  const { size } = await stat(path)
  if (size !== part.size) throw new Error(`${path} has ${size} bytes, the reference says ${part.size}`)
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  if (Number(metadata.num_rows) !== part.rows) throw new Error(`${path} has ${metadata.num_rows} rows, not ${part.rows}`)
  for (const row of await parquetReadObjects({ file, metadata, compressors })) rows.push(row)
}
if (rows.length !== reference.rows) throw new Error(`${rows.length} rows, the reference says ${reference.rows}`)

const values = rows.map((row) => row[column])
const present = values.filter((value) => value !== null && value !== undefined)
const plain = (key, value) => (typeof value === 'bigint' ? Number(value) : value)
console.log(
  JSON.stringify(
    {
      rows: rows.length,
      sum: present.reduce((sum, value) => sum + BigInt(value), 0n),
      nulls: values.length - present.length,
      columns: Object.keys(rows[0] ?? {}).length,
      first: rows[0] ?? null,
    },
    plain,
  ),
)
