// Addresses and names of the stage, known to stage, peers and scenarios.

export const serverAddress = '10.77.0.1'
export const loadAddress = '10.77.0.2'
export const serverInterface = 'wire0'
/** The stations' net lies behind the load side as behind a router: one neighbour entry, 65 000 addresses that can be bound. */
export const stationNet = '10.78.0.0/16'
export const relayAddress = '10.78.0.1'
/** Where TFTP stations begin; above the pool, so that nobody has such an address by DHCP. */
export const firstTftpStation = '10.78.251.1'
