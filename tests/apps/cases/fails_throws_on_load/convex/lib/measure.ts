export function measure(text: string): number {
  return text.length;
}
