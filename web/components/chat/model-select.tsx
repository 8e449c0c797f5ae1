'use client';

import { useServer } from '@/hooks/use-server';
import { STRINGS } from '@/lib/strings';
import type { ModelInfo } from '@/lib/types';
import { priceInWords } from '@/lib/usage';
import { ChevronIcon } from '../icons';
import { Menu } from '../ui/menu';
import styles from './model-select.module.css';

type ModelSelectProps = {
  value: string | undefined;
  onChange: (model: string) => void;
};

/** The models of the server, with what each can. Offered only where the server leaves a choice. */
export function ModelSelect({ value, onChange }: ModelSelectProps) {
  const { state } = useServer();
  if (state.status !== 'ready' || state.info.models.length < 2) return null;
  const { model, models, modelInfo } = state.info;
  const known = new Map(modelInfo?.map((info) => [info.id, info]));
  const names = [...new Set([model.id, ...models])];
  // A model that the chat had, and that is not offered any more, is not chosen.
  const chosen = value !== undefined && names.includes(value) ? value : model.id;
  const labelOf = (name: string) => known.get(name)?.label ?? name;
  return (
    <Menu
      label={STRINGS.model.chosen(labelOf(chosen))}
      className={styles.button}
      testId="model-select"
      items={names.map((name) => ({
        label: labelOf(name),
        hint: hintOf(known.get(name)),
        isChosen: name === chosen,
        run: () => onChange(name),
      }))}
    >
      <span className={styles.label} aria-hidden="true">
        {labelOf(chosen)}
      </span>
      <ChevronIcon />
    </Menu>
  );
}

function hintOf(info: ModelInfo | undefined): string {
  const abilities = info?.abilities.map((ability) => STRINGS.model.abilities[ability] ?? ability).join(', ');
  return [abilities, info?.price && priceInWords(info.price)].filter(Boolean).join(' · ');
}
