/** For options that may be given several times: commander passes what it has collected so far. */
export const collect = (value: string, before: string[]): string[] => [...before, value]
