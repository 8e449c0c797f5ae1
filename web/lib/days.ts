import type { ChatSummary } from './chats';
import { STRINGS } from './strings';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Chats that changed in the same stretch of time, latest first. */
export type DayGroup = { label: string; chats: ChatSummary[] };

function startOfDay(time: Date): number {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();
}

function labelOf(time: Date, now: Date): string {
  // Rounded: a day of 23 or 25 hours is one day, too.
  const days = Math.round((startOfDay(now) - startOfDay(time)) / DAY_MS);
  if (days <= 0) return STRINGS.days.today;
  if (days === 1) return STRINGS.days.yesterday;
  if (days <= 7) return STRINGS.days.week;
  if (days <= 30) return STRINGS.days.month;
  return time.toLocaleDateString('en', { month: 'long', year: 'numeric' });
}

/** Groups chats, which come latest first, by when they last changed. */
export function groupByDay(chats: readonly ChatSummary[], now: Date): DayGroup[] {
  const groups: DayGroup[] = [];
  for (const chat of chats) {
    const label = labelOf(new Date(chat.updatedAt), now);
    const last = groups.at(-1);
    if (last?.label === label) last.chats.push(chat);
    else groups.push({ label, chats: [chat] });
  }
  return groups;
}
