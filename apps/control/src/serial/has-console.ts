import { type ServerRow, type WorkflowContext } from '../deployments/workflow-context.ts'

/** Whether the server's BMC has a console that byoi can use. Throws what `openBmc` throws. */
export async function hasConsole({ openBmc }: WorkflowContext, row: ServerRow): Promise<boolean> {
  const bmc = openBmc(row)
  try {
    return bmc.console !== null
  } finally {
    await bmc.close()
  }
}
