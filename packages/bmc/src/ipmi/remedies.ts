export const checkAccount =
  'Check the user and the password of the BMC, and that the account may use IPMI over LAN.'
export const checkNetwork =
  "Check the BMC's address, that UDP port 623 is open, and that IPMI over LAN is enabled on the BMC."
export const giveAdministrator =
  'Give the account the privilege ADMINISTRATOR, or at least OPERATOR, for IPMI over LAN.'
export const waitForBmc = 'Wait until the BMC is done, or restart it.'
