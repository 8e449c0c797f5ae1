/**
 * What `ai` imports of `@ai-sdk/gateway`, with which servers call models. No page does, and it would be a sixth of what a
 * browser loads before it shows anything: `next.config.ts` puts this in its place.
 */
class NeverThrown extends Error {
  static isInstance(): boolean {
    return false;
  }
}

export { NeverThrown as GatewayAuthenticationError, NeverThrown as GatewayError };
export const createGateway = (): undefined => undefined;
export const gateway = createGateway();
