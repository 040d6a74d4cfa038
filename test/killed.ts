// How a process ended that somebody has killed with node's process.kill(). Windows knows no signals: who ends another
// process chooses its exit code, and node chooses 1.
export const KILLED = process.platform === 'win32' ? 1 : -9
