export * from './bmc.ts'
export * from './local/local-bmc.ts'
