export * from './bmc.ts'
export { realClock, type Timekeeper } from './clock.ts'
export * from './judge.ts'
export { IpmiBmc } from './ipmi/ipmi-bmc.ts'
export { IpmiConsole } from './ipmi/ipmi-console.ts'
export { type IpmiOptions } from './ipmi/ipmi-options.ts'
export * from './local/local-bmc.ts'
export type { BootSetting, Machine, MachineAction, MachineIdentity } from './simulated/machine.ts'
export { MemoryMachine } from './simulated/memory-machine.ts'
export {
  type RedfishService,
  type RedfishServiceOptions,
  startRedfishService,
} from './simulated/redfish-service.ts'
export { listSystems, type RedfishAccount, RedfishBmc, type RedfishOptions } from './redfish/redfish-bmc.ts'
export type { FoundSystem } from './redfish/server.ts'
export { readSpki } from './redfish/spki.ts'
