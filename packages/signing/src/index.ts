export * from './detached.ts'
export { verifyClearText } from './openpgp.ts'
export * from './signing-key.ts'
export * from './signing-problem.ts'
