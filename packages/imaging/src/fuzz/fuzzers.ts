import type { Fuzzer } from './fuzzer.ts'
import { httpFuzzer } from './http-fuzzer.ts'
import { ovaFuzzer } from './ova-fuzzer.ts'
import { bzip2Fuzzer, gzipFuzzer, xzFuzzer, zstdFuzzer } from './packed-fuzzer.ts'
import { qcow2Fuzzer } from './qcow2-fuzzer.ts'
import { gptFuzzer, mbrFuzzer } from './table-fuzzer.ts'
import { vmdkFuzzer } from './vmdk-fuzzer.ts'

/** By the name of what is parsed. */
export const fuzzers: Readonly<Record<string, Fuzzer>> = {
  qcow2: qcow2Fuzzer,
  vmdk: vmdkFuzzer,
  ova: ovaFuzzer,
  gpt: gptFuzzer,
  mbr: mbrFuzzer,
  gzip: gzipFuzzer,
  zstd: zstdFuzzer,
  xz: xzFuzzer,
  bzip2: bzip2Fuzzer,
  http: httpFuzzer,
}
