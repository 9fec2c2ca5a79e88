// Reads every value of a Parquet file's columns, with no library of ours, and prints a digest of each.
//
//     node column_digests.mjs NODE_MODULES FILE.parquet COLUMNS.json
//
// COLUMNS.json: [{"name", "kind", "scale"}]; what the kinds are, and what a digest is, says `tests/it/encodings/digest.rs`.
// Prints {"rows", "columns": {name: {"rows", "nulls", "digest"} | {"error"}}}.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [nodeModules, path, columnsFile] = process.argv.slice(2)

// An import by name looks beside this file only; the modules lie elsewhere.
const { resolve } = createRequire(join(nodeModules, 'here.js'))
const load = (name) => import(pathToFileURL(resolve(name)))
const { asyncBufferFromFile, parquetMetadataAsync, parquetRead } = await load('hyparquet')
const { compressors } = await load('hyparquet-compressors')

const step = (digest, part) => Math.imul(digest ^ part, 16777619)
const view = new DataView(new ArrayBuffer(8))
const bothHalves = (digest) => step(step(digest, view.getUint32(0, true)), view.getUint32(4, true))

function integer(digest, value) {
  if (typeof value === 'number') return step(step(digest, value % 2 ** 32), Math.floor(value / 2 ** 32))
  view.setBigUint64(0, value, true)
  return bothHalves(digest)
}

function bytes(digest, value) {
  digest = step(digest, value.length)
  for (const byte of value) digest = step(digest, byte)
  return digest
}

const encoder = new TextEncoder()
const kinds = {
  integer,
  boolean: (digest, value) => integer(digest, value === true ? 1 : 0),
  // hyparquet gives decimals as numbers: what they count is whole.
  decimal: (digest, value, { scale }) => integer(digest, Math.round(value * 10 ** scale)),
  float(digest, value) {
    view.setFloat64(0, value, true)
    return Number.isNaN(value) ? step(digest, 0x7ff80000) : bothHalves(digest)
  },
  text(digest, value) {
    if (typeof value !== 'string') throw new Error(`${typeof value} instead of a text`)
    return bytes(digest, encoder.encode(value))
  },
  bytes(digest, value) {
    if (!(value instanceof Uint8Array)) throw new Error(`${typeof value} instead of bytes`)
    return bytes(digest, value)
  },
}

// Times and dates as the numbers that lie in the file: a `Date` holds no microseconds.
const asStored = (value) => value
const parsers = {
  timestampFromMilliseconds: asStored,
  timestampFromMicroseconds: asStored,
  timestampFromNanoseconds: asStored,
  dateFromDays: asStored,
}

const file = await asyncBufferFromFile(path)
const metadata = await parquetMetadataAsync(file)
const found = {}
for (const column of JSON.parse(await readFile(columnsFile, 'utf8'))) {
  let [nulls, digest, rows] = [0, 0, 0]
  const onComplete = (values) => {
    for (const [value] of values) {
      rows += 1
      if (value === null || value === undefined) {
        nulls += 1
        digest = step(digest, 0x6e756c6c)
      } else {
        digest = kinds[column.kind](digest, value, column)
      }
    }
  }
  try {
    await parquetRead({ file, metadata, compressors, parsers, utf8: false, columns: [column.name], onComplete })
    found[column.name] = { rows, nulls, digest: digest >>> 0 }
  } catch (error) {
    found[column.name] = { error: String(error) }
  }
}
console.log(JSON.stringify({ rows: Number(metadata.num_rows), columns: found }))
