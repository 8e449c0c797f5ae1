import { useSyncExternalStore } from 'react';
import { route, type Route } from '@/lib/route';

/** Which chat the address names. */
export function useRoute(): Route {
  return useSyncExternalStore(route.subscribe, route.get, route.getUnknown);
}
