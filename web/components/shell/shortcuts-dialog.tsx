import { STRINGS } from '@/lib/strings';
import { Dialog } from '../ui/dialog';
import dialogStyles from '../ui/dialog.module.css';
import styles from './shortcuts-dialog.module.css';

const WORDS = STRINGS.shortcuts.list;

const ROWS: readonly (readonly [string, readonly string[]])[] = [
  [WORDS.send, ['Enter']],
  [WORDS.newLine, ['Shift', 'Enter']],
  [WORDS.editLast, ['↑']],
  [WORDS.stop, ['Esc']],
  [WORDS.newChat, ['Ctrl', 'Shift', 'O']],
  [WORDS.search, ['Ctrl', 'K']],
  [WORDS.sidebar, ['Ctrl', 'B']],
  [WORDS.focus, ['/']],
  [WORDS.help, ['?']],
];

/** What can be done from the keyboard. */
export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  return (
    <Dialog title={STRINGS.shortcuts.title} onClose={onClose}>
      <dl className={styles.list}>
        {ROWS.map(([what, keys]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{isMac && key === 'Ctrl' ? '⌘' : key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <div className={dialogStyles.buttons}>
        <button type="button" className="button" onClick={onClose} autoFocus>
          {STRINGS.shortcuts.close}
        </button>
      </div>
    </Dialog>
  );
}
