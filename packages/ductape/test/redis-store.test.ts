import { afterAll, beforeAll, describe, it } from "vitest";
import { storeSuite, type StorePlace } from "ductape/testing";
import { hasRedis, startCluster, startRedis } from "./redis.js";

/** A place of its own on a shared server: another prefix. */
let places = 0;
const placeOn = (url: string) => (): StorePlace => {
  const prefix = `place-${++places}`;
  return { connect: () => `${url}?prefix=${prefix}`, remove: () => undefined };
};

const KINDS = { "one server": startRedis, "a cluster of three masters": startCluster };

const kinds = hasRedis("the suite of the Redis store") ? Object.entries(KINDS) : [];

describe.each(kinds)("the store on %s", (_, start) => {
  let url = "";
  let remove = async () => undefined as void;
  beforeAll(async () => {
    ({ url, remove } = await start());
  });
  afterAll(() => remove());

  it.each(storeSuite(() => placeOn(url)()).map(({ name, run }) => [name, run] as const))(
    "%s",
    (_name, run) => run(),
  );
});
