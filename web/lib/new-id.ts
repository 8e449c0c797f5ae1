const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const LENGTH = 22;

/** An id for a new chat that nobody can guess. `crypto.randomUUID` is there only on pages from https or this machine. */
export function newChatId(): string {
  let id = '';
  while (id.length < LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(LENGTH))) {
      const letter = LETTERS[byte & 63]; // Two of 64 values have no letter: all letters are as likely.
      if (letter !== undefined && id.length < LENGTH) id += letter;
    }
  }
  return id;
}
