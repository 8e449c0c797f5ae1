/** Whether this is no touch screen, where the focus of a field raises the keyboard over the page. */
export function canHover(): boolean {
  return window.matchMedia('(hover: hover)').matches;
}
