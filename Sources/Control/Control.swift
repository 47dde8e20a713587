internal import Wire
public import Proxy

