import { expect, it } from 'vitest';
import { LoadMeter } from '../../../src/base/load.ts';

it('the load is the sum over the endpoints that are open', () => {
  const meter = new LoadMeter();
  expect(meter.total()).toEqual({ connections: 0, requestsInFlight: 0 });
  meter.register(() => ({ connections: 2, requestsInFlight: 1 }));
  const close = meter.register(() => ({ connections: 3, requestsInFlight: 0 }));
  expect(meter.total()).toEqual({ connections: 5, requestsInFlight: 1 });
  close();
  expect(meter.total()).toEqual({ connections: 2, requestsInFlight: 1 });
});
