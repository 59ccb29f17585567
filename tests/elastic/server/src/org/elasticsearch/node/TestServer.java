package org.elasticsearch.node;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.NamedPlugins;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;

/**
 * A single node for tests: {@code TestServer FOLDER HTTP_PORT TRANSPORT_PORT}.
 *
 * Loopback, no security, no bootstrap checks. The distribution's modules are not on Maven Central, so what we need of them
 * comes from the class path. Lives in this package because the constructors it calls are visible here alone.
 */
final class TestServer extends Node {

    private static final String NAME = "test-server";

    private TestServer(Environment environment) {
        super(NodeConstruction.prepareConstruction(environment, noFolders(), services(), true));
    }

    public static void main(String[] arguments) throws Exception {
        // This order matters: logging first, and one thread initialises the exceptions before many could (class-loading deadlock).
        LogConfigurator.configureESLogging();
        Class.forName("org.elasticsearch.ElasticsearchException");

        TestServer server = new TestServer(environment(Path.of(arguments[0]).toAbsolutePath(), arguments[1], arguments[2]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::end));
        server.start();
        Thread.currentThread().join();
    }

    private static Environment environment(Path folder, String httpPort, String transportPort) throws Exception {
        Path config = Files.createDirectories(folder.resolve("config"));
        Settings settings = Settings.builder()
            .put("path.home", folder.toString())
            .put("cluster.name", NAME)
            .put("node.name", NAME)
            .put("network.host", "127.0.0.1")
            .put("http.port", httpPort)
            .put("transport.port", transportPort)
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        return InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> NAME);
    }

    private static PluginsLoader noFolders() {
        return PluginsLoader.createPluginsLoader(Set.of(), Set.of(), Map.of(), false);
    }

    private static NodeServiceProvider services() {
        return new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment environment, PluginsLoader loader) {
                return new NamedPlugins(environment, loader, List.of(Netty4Plugin.class, StreamRemoval.class));
            }
        };
    }

    private void end() {
        try {
            prepareForClose();
            close();
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }
}
