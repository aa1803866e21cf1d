export * from './deploy-image.types.ts'
export * from './error.ts'
export type { AddressPolicy } from './source/address-policy.ts'
