export * from './bmc.ts'
export * from './judge.ts'
export * from './local/local-bmc.ts'
