import { BrandMark } from './brand-mark';
import { ModelName } from './model-name';
import styles from './site-header.module.css';

/** The header of a page without a list of chats. */
export function SiteHeader() {
  return (
    <header className={styles.header}>
      <a className={styles.brand} href="/">
        <BrandMark />
        usechat
      </a>
      <ModelName />
    </header>
  );
}
