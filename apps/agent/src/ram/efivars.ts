import { constants, open, readFile, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { globalVariable } from './machine.ts'

/** NON_VOLATILE, BOOTSERVICE_ACCESS and RUNTIME_ACCESS (UEFI 2.10, section 8.2), as the boot manager's variables must have. */
const attributes = 7

/**
 * The firmware's global variables, by efivarfs (Documentation/filesystems/efivarfs.rst): a file each, four bytes of attributes and
 * then the data. Those of the boot manager are not among the files that efivarfs makes immutable.
 */
export interface EfiVariables {
  names(): Promise<string[]>
  /** null where there is no such variable. */
  read(name: string): Promise<Buffer | null>
  write(name: string, data: Buffer): Promise<void>
  remove(name: string): Promise<void>
}

export function globalVariables(folder: string): EfiVariables {
  const pathOf = (name: string) => join(folder, `${name}-${globalVariable}`)
  return {
    names: async () =>
      (await readdir(folder))
        .filter((name) => name.endsWith(`-${globalVariable}`))
        .map((name) => name.slice(0, -globalVariable.length - 1)),
    read: async (name) => {
      try {
        return (await readFile(pathOf(name))).subarray(4)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
        throw error
      }
    },
    write: async (name, data) => {
      // The firmware takes a variable whole: one call of write(2), and nothing that truncates before it.
      const file = await open(pathOf(name), constants.O_WRONLY | constants.O_CREAT, 0o644)
      try {
        const bytes = Buffer.concat([Buffer.from([attributes, 0, 0, 0]), data])
        const { bytesWritten } = await file.write(bytes)
        if (bytesWritten !== bytes.length) throw new Error('The firmware did not take the whole variable.')
      } finally {
        await file.close()
      }
    },
    remove: (name) => unlink(pathOf(name)),
  }
}
