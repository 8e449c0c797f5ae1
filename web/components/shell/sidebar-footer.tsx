'use client';

import { useServer } from '@/hooks/use-server';
import { useTheme, type Theme } from '@/hooks/use-theme';
import { STRINGS } from '@/lib/strings';
import { KeyboardIcon, MoonIcon, ScreenIcon, SignOutIcon, SunIcon } from '../icons';
import styles from './sidebar.module.css';

const THEMES = [
  ['system', <ScreenIcon key="system" />],
  ['light', <SunIcon key="light" />],
  ['dark', <MoonIcon key="dark" />],
] as const satisfies readonly (readonly [Theme, unknown])[];

/** Colours, shortcuts, and the way out. */
export function SidebarFooter({ onShowShortcuts }: { onShowShortcuts: () => void }) {
  const [theme, choose] = useTheme();
  const { canSignOut, signOut } = useServer();
  return (
    <div className={styles.footer}>
      <fieldset className={styles.themes}>
        <legend className="visually-hidden">{STRINGS.theme.label}</legend>
        {THEMES.map(([name, icon]) => (
          <label key={name} title={STRINGS.theme[name]}>
            <input type="radio" name="theme" checked={theme === name} onChange={() => choose(name)} />
            {icon}
            <span className="visually-hidden">{STRINGS.theme[name]}</span>
          </label>
        ))}
      </fieldset>
      <span className={styles.spacer} />
      {canSignOut && (
        <button type="button" className="icon-button" title={STRINGS.signIn.signOut} onClick={signOut}>
          <SignOutIcon />
          <span className="visually-hidden">{STRINGS.signIn.signOut}</span>
        </button>
      )}
      <button type="button" className="icon-button" title={STRINGS.shortcuts.title} onClick={onShowShortcuts}>
        <KeyboardIcon />
        <span className="visually-hidden">{STRINGS.shortcuts.title}</span>
      </button>
    </div>
  );
}
