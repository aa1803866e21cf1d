export * from './bmc.ts'
