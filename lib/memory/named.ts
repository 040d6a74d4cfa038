// The ArrayBuffers of this thread that lie on a segment with a name (lib/shared-memory): they cannot be moved into a message.
export const named = new WeakSet<ArrayBuffer>()
